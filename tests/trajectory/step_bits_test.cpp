// One trajectory: the same bits however a run is laid out, and other bits where its mathematics is changed.

#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "tests/trajectory/covering_layouts.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 3;

struct NamedModel {
  const char* name;
  TrainerSettings settings;
  BatchSource edit_batch = {};
};

// A fourteenth of them with products in the tiles order.
constexpr std::size_t tiles_shares = 14;

std::vector<NamedModel> models_in_tiles_order() {
  std::vector<NamedModel> list = {{"GPT-2 bf16, tiles", tiny_settings(Family::gpt2, DType::bf16, DType::bf16)},
                                  {"Llama bf16, tiles", tiny_settings(Family::llama, DType::bf16, DType::bf16)}};
  for (NamedModel& model : list) model.settings.products = ProductOrder::tiles;
  return list;
}

void cut_and_ignore(std::int64_t step, int microbatch, Batch batch) {
  cut_into_documents(17)(step, microbatch, batch);
  ignore_some_targets(step, microbatch, batch);
}

std::vector<NamedModel> models() {
  std::vector<NamedModel> list = {{"GPT-2 bf16", tiny_settings(Family::gpt2, DType::bf16, DType::bf16)},
                                  {"Llama bf16", tiny_settings(Family::llama, DType::bf16, DType::bf16)},
                                  {"GPT-2 f32", tiny_settings(Family::gpt2, DType::f32, DType::f32)},
                                  {"Llama f32", tiny_settings(Family::llama, DType::f32, DType::f32)},
                                  {"Llama bf16, untied", tiny_settings(Family::llama, DType::bf16, DType::bf16)}};
  list.back().settings.model.tied = false;
  list.push_back({"Llama qkv bias, scaled RoPE, untied", list.back().settings});
  list.back().settings.model.qkv_bias = true;
  list.back().settings.model.rope_scaling = tiny_rope_scaling;
  list.push_back({"Qwen3 bf16", tiny_settings(Family::qwen3, DType::bf16, DType::bf16)});
  list.push_back({"GPT-2 bf16, documents, ignored targets", tiny_settings(Family::gpt2, DType::bf16, DType::bf16),
                  cut_and_ignore});
  list.push_back({"Llama bf16, documents, ignored targets", tiny_settings(Family::llama, DType::bf16, DType::bf16),
                  cut_and_ignore});
  return list;
}

void check_layout(const TrainerSettings& settings, const Layout& layout, const LocalResult& expected,
                  int checked_seed = -1, const BatchSource& edit_batch = {}) {
  CAPTURE(layout.ranks, layout.threads, layout.prefetch, name(layout.recompute), cpu::name(layout.isa), checked_seed);
  const LocalResult got = train_laid_out(settings, layout, steps, checked_seed, edit_batch);
  CHECK(got.weights == expected.weights);
  CHECK(got.state == expected.state);
  CHECK(got.steps.back().loss == expected.steps.back().loss);
  CHECK(got.steps.back().gradient_norm == expected.steps.back().gradient_norm);
}

// Every row whose number leaves `share` behind when divided by `all`.
void check_share(const NamedModel& model, std::size_t share, std::size_t all) {
  CAPTURE(model.name);
  const LocalResult expected = train_locally(model.settings, {.edit_batch = model.edit_batch}, steps);
  // Better than chance after a few steps: the targets follow the tokens.
  REQUIRE(expected.steps.back().loss < std::log(static_cast<double>(model.settings.model.vocab)));
  const std::vector<Layout> rows = covering_layouts();
  for (std::size_t i = share; i < rows.size(); i += all)
    check_layout(model.settings, rows[i], expected, -1, model.edit_batch);
}

constexpr std::size_t columns = 6;

std::array<int, columns> values(const Layout& layout) {
  return {layout.ranks,
          layout.threads,
          layout.prefetch,
          static_cast<int>(layout.recompute),
          static_cast<int>(layout.isa),
          static_cast<int>(layout.transport)};
}

}  // namespace

TEST_CASE("covering layouts: every pair of values of two columns stands in a row") {
  std::vector<int> isas;  // AMX runs products of the chain order as AVX-512 BF16 does
  for (const cpu::Isa isa : {cpu::Isa::avx512_bf16, cpu::Isa::avx512f, cpu::Isa::avx2})
    isas.push_back(static_cast<int>(isa));
  const std::array<std::vector<int>, columns> wanted = {
      {{1, 2, 3, 4, 5, 7, 8}, {1, 2, 4}, {0, 1, 2, 3}, {0, 1, 2, 3}, isas, {0, 1, 2}}};
  const std::vector<Layout> rows = covering_layouts();
  for (std::size_t a = 0; a < columns; ++a)
    for (std::size_t b = a + 1; b < columns; ++b) {
      std::set<std::pair<int, int>> seen;
      for (const Layout& row : rows) seen.insert({values(row)[a], values(row)[b]});
      for (const int x : wanted[a])
        for (const int y : wanted[b]) {
          CAPTURE(a, x, b, y);
          CHECK(seen.count({x, y}) == 1);
        }
    }
}

// CI runs a share of the rows with each model, another share with the next: the models together see all.
TEST_CASE("a run has the same bits in every layout, a share of them for each model") {
  const std::vector<NamedModel> list = models();
  for (std::size_t m = 0; m < list.size(); ++m) check_share(list[m], m, list.size());
}

TEST_CASE("a run has the same bits in every layout", "[.all]") {
  for (const NamedModel& model : models()) check_share(model, 0, 1);
  for (const NamedModel& model : models_in_tiles_order()) check_share(model, 0, 1);
}

TEST_CASE("products in the tiles order give a run bits of its own, the same in every layout") {
  std::size_t share = 0;
  for (const NamedModel& model : models_in_tiles_order()) {
    TrainerSettings chain = model.settings;
    chain.products = ProductOrder::chain;
    CHECK(train_locally(model.settings, {}, steps).weights != train_locally(chain, {}, steps).weights);
    check_share(model, share++, tiles_shares);
  }
}

TEST_CASE("products in the tiles order give the same bits without vector instructions", "[.all]") {
  for (const NamedModel& model : models_in_tiles_order())
    check_layout(model.settings, {.ranks = 2, .isa = cpu::Isa::scalar}, train_locally(model.settings, {}, steps));
}

TEST_CASE("a run has the same bits on every instruction set, scalar code included") {
  // Scalar code multiplies and adds by the C library: less of everything.
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.model.layers = 1;
  settings.global_batch = 3 * settings.micro_batch;
  const LocalResult expected = train_locally(settings, {}, steps);
  for (cpu::Isa isa : {cpu::Isa::avx512f, cpu::Isa::avx2, cpu::Isa::scalar}) {
    if (isa < cpu::detect_isa()) continue;  // this machine has not got it
    check_layout(settings, {.ranks = 2, .isa = isa}, expected);
  }
}

TEST_CASE("a run has the same bits under the checked device") {
  const TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  const LocalResult expected = train_locally(settings, {}, steps);
  const std::vector<Layout> rows = covering_layouts();
  for (int seed = 0; seed < 4; ++seed) check_layout(settings, rows[static_cast<std::size_t>(7 * seed)], expected, seed);
}
