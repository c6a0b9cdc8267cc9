#include "models/describe.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "models/shapes.h"

using namespace trireme;

namespace {

ModelConfig config(Family family, bool tied) {
  return {.family = family,
          .layers = 3,
          .width = 48,
          .heads = 4,
          .kv_heads = family == Family::gpt2 ? 4 : 2,
          .ffn = 80,
          .vocab = 307,
          .context = 24,
          .head_dim = family == Family::qwen3 ? 20 : 0,
          .tied = tied};
}

// The six models, each once.
ModelConfig any_config() { return config(GENERATE(Family::gpt2, Family::llama, Family::qwen3), GENERATE(true, false)); }

bool ends_in(const std::string& name, const char* end) { return name.ends_with(end); }

}  // namespace

TEST_CASE("describe: matrices decay, embeddings included; gains and biases do not") {
  const ModelConfig model = any_config();
  for (const UnitSpec& unit : describe(model, {}).units)
    for (const TensorSpec& tensor : unit.tensors) {
      CAPTURE(tensor.name);
      CHECK(tensor.decay == (tensor.rows > 1));
      if (ends_in(tensor.name, ".bias") || ends_in(tensor.name, "norm.weight")) CHECK_FALSE(tensor.decay);
      if (ends_in(tensor.name, "token.weight") || ends_in(tensor.name, "position.weight")) CHECK(tensor.decay);
      CHECK(tensor.init.kind == (tensor.decay ? InitRule::Kind::normal : InitRule::Kind::constant));
      if (!tensor.decay) CHECK(tensor.init.value == (ends_in(tensor.name, "norm.weight") ? 1.0 : 0.0));
    }
}

TEST_CASE("describe: every tensor has a name of its own, by which it starts") {
  const ModelConfig model = any_config();
  std::set<std::string> names;
  std::size_t tensors = 0;
  for (const UnitSpec& unit : describe(model, {}).units)
    for (const TensorSpec& tensor : unit.tensors) names.insert(tensor.name), ++tensors;
  CHECK(names.size() == tensors);
}

TEST_CASE("describe: embedding, one unit for each layer, head") {
  const ModelConfig model = any_config();
  const std::vector<UnitSpec> units = describe(model, {}).units;
  REQUIRE(units.size() == 5);
  CHECK(units.front().kind == UnitKind::embedding);
  for (std::size_t u = 1; u <= 3; ++u) {
    CHECK(units[u].kind == UnitKind::block);
    CHECK(units[u].segments.size() == 2);
  }
  CHECK(units.back().kind == UnitKind::head);
}

TEST_CASE("describe: a tied head has no table but points at the embedding's, an untied one has its own") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const UnitSpec tied = describe(config(family, true), {}).units.back();
  const UnitSpec untied = describe(config(family, false), {}).units.back();
  REQUIRE(tied.tied.has_value());
  const TensorSpec table = describe(config(family, true), {})
                               .units[static_cast<std::size_t>(tied.tied->unit)]
                               .tensors.at(static_cast<std::size_t>(tied.tied->tensor));
  CHECK(table.name == "embedding.token.weight");
  CHECK_FALSE(untied.tied.has_value());
  REQUIRE(untied.tensors.size() == tied.tensors.size() + 1);
  CHECK(untied.tensors.back().rows == table.rows);
  CHECK(untied.tensors.back().cols == table.cols);
}

TEST_CASE("describe: the vocabulary is padded to 128 rows that start as zero and are no parameters") {
  const ModelConfig model = any_config();
  const TensorSpec table = describe(model, {}).units.front().tensors.front();
  CHECK(table.rows == 384);
  CHECK(table.init.padding_rows == 384 - 307);
  ModelConfig full = model;
  full.vocab = 384;
  CHECK(describe(full, {}).units.front().tensors.front().init.padding_rows == 0);
  CHECK(parameter_count(full) - parameter_count(model) == (384 - 307) * 48 * (model.tied ? 1 : 2));
}

TEST_CASE("describe: a qkv bias stands behind its weights, and only in models that have one") {
  const ModelConfig plain = config(Family::llama, true);
  ModelConfig biased = plain;
  biased.qkv_bias = true;
  const std::vector<TensorSpec> without = describe(plain, {}).units[1].tensors,
                                with = describe(biased, {}).units[1].tensors;
  REQUIRE(with.size() == without.size() + 1);
  CHECK(with[1].name == "blocks.0.attention.qkv.weight");
  CHECK(with[2].name == "blocks.0.attention.qkv.bias");
  CHECK(with[2].elems() == with[1].rows);
  CHECK(with[2].init.value == 0.0);
  CHECK_FALSE(with[2].decay);
  for (std::size_t t = 0; t < without.size(); ++t) CHECK(without[t].name == with[t < 2 ? t : t + 1].name);
  CHECK(parameter_count(biased) - parameter_count(plain) == 3 * with[1].rows);
}

TEST_CASE("describe: heads have the size that the model says, and norms of their own where the family has them") {
  ModelConfig model = config(Family::qwen3, true);
  const std::vector<TensorSpec> with = describe(model, {}).units[1].tensors;
  model.family = Family::mistral;
  const std::vector<TensorSpec> without = describe(model, {}).units[1].tensors;
  REQUIRE(with.size() == without.size() + 2);
  CHECK((with[1].name == "blocks.0.attention.qkv.weight" && with[1].rows == (4 + 2 * 2) * 20 && with[1].cols == 48));
  CHECK((with[2].name == "blocks.0.attention.q_norm.weight" && with[2].elems() == 20));
  CHECK((with[3].name == "blocks.0.attention.k_norm.weight" && with[3].elems() == 20));
  CHECK((with[4].name == "blocks.0.attention.out.weight" && with[4].rows == 48 && with[4].cols == 4 * 20));
  for (std::size_t t = 0; t < without.size(); ++t) CHECK(without[t].name == with[t < 2 ? t : t + 2].name);
}

TEST_CASE("describe: tensors do not depend on the microbatch, types or threads") {
  const ModelConfig model = any_config();
  const ModelSpec small = describe(model, {});
  const ModelSpec large = describe(model, {.sequences = 4, .sequence = 24, .compute = DType::f32, .threads = 4});
  REQUIRE(small.units.size() == large.units.size());
  for (std::size_t u = 0; u < small.units.size(); ++u) {
    REQUIRE(small.units[u].tensors.size() == large.units[u].tensors.size());
    for (std::size_t t = 0; t < small.units[u].tensors.size(); ++t) {
      CHECK(small.units[u].tensors[t].name == large.units[u].tensors[t].name);
      CHECK(small.units[u].tensors[t].elems() == large.units[u].tensors[t].elems());
    }
  }
}
