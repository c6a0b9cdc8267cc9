#include "models/hf/slice.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <map>
#include <set>

#include "models/describe.h"
#include "models/hf/model_folder.h"
#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;

namespace {

/// Where a tensor of a folder lies among ours: names behind the block's number, rows before it in ours.
struct Home {
  std::string ours;
  Elems first_row = 0;
};

Home home_of(const std::string& name, const ModelConfig& m) {
  const Elems Q = m.head_size() * m.heads, K = m.head_size() * m.kv_heads, F = m.ffn;
  const std::map<std::string, Home> homes = {{"ln_1.weight", {"attention.norm.weight"}},
                                             {"ln_1.bias", {"attention.norm.bias"}},
                                             {"ln_2.weight", {"mlp.norm.weight"}},
                                             {"ln_2.bias", {"mlp.norm.bias"}},
                                             {"attn.c_attn.weight", {"attention.qkv.weight"}},
                                             {"attn.c_attn.bias", {"attention.qkv.bias"}},
                                             {"attn.c_proj.weight", {"attention.out.weight"}},
                                             {"attn.c_proj.bias", {"attention.out.bias"}},
                                             {"mlp.c_fc.weight", {"mlp.up.weight"}},
                                             {"mlp.c_fc.bias", {"mlp.up.bias"}},
                                             {"mlp.c_proj.weight", {"mlp.down.weight"}},
                                             {"mlp.c_proj.bias", {"mlp.down.bias"}},
                                             {"input_layernorm.weight", {"attention.norm.weight"}},
                                             {"post_attention_layernorm.weight", {"mlp.norm.weight"}},
                                             {"self_attn.q_proj.weight", {"attention.qkv.weight", 0}},
                                             {"self_attn.k_proj.weight", {"attention.qkv.weight", Q}},
                                             {"self_attn.v_proj.weight", {"attention.qkv.weight", Q + K}},
                                             {"self_attn.q_proj.bias", {"attention.qkv.bias", 0}},
                                             {"self_attn.k_proj.bias", {"attention.qkv.bias", Q}},
                                             {"self_attn.v_proj.bias", {"attention.qkv.bias", Q + K}},
                                             {"self_attn.q_norm.weight", {"attention.q_norm.weight"}},
                                             {"self_attn.k_norm.weight", {"attention.k_norm.weight"}},
                                             {"self_attn.o_proj.weight", {"attention.out.weight"}},
                                             {"mlp.gate_proj.weight", {"mlp.gate_up.weight", 0}},
                                             {"mlp.up_proj.weight", {"mlp.gate_up.weight", F}},
                                             {"mlp.down_proj.weight", {"mlp.down.weight"}}};
  const std::map<std::string, std::string> singles = {{"transformer.wte.weight", "embedding.token.weight"},
                                                      {"transformer.wpe.weight", "embedding.position.weight"},
                                                      {"transformer.ln_f.weight", "head.norm.weight"},
                                                      {"transformer.ln_f.bias", "head.norm.bias"},
                                                      {"lm_head.weight", "head.vocabulary.weight"},
                                                      {"model.embed_tokens.weight", "embedding.token.weight"},
                                                      {"model.norm.weight", "head.norm.weight"}};
  if (const auto single = singles.find(name); single != singles.end()) return {single->second};
  const std::size_t number = name.find_first_of("0123456789"), rest = name.find('.', number) + 1;
  const Home home = homes.at(name.substr(rest));
  return {"blocks." + name.substr(number, rest - number) + home.ours, home.first_row};
}

float value_of(const RawTensor& tensor, Elems index, hf::Storage type) {
  float value = 0;
  std::string bytes = tensor.bytes.substr(static_cast<std::size_t>(index * hf::size_bytes(type)),
                                          static_cast<std::size_t>(hf::size_bytes(type)));
  hf::widen({.values = &value,
             .value_stride = 1,
             .stored = reinterpret_cast<std::byte*>(bytes.data()),
             .type = type,
             .rows = 1,
             .cols = 1});
  return value;
}

/// All our tensors by name, as the folder's say.
std::map<std::string, std::vector<float>> wanted(const ModelConfig& model, hf::Storage type,
                                                 const std::vector<UnitSpec>& units) {
  std::map<std::string, std::vector<float>> ours;
  std::map<std::string, Elems> cols;
  for (const UnitSpec& unit : units)
    for (const TensorSpec& tensor : unit.tensors) {
      ours[tensor.name].resize(static_cast<std::size_t>(tensor.elems()));
      cols[tensor.name] = tensor.rows == 1 ? 1 : tensor.cols;
    }
  for (const RawTensor& tensor :
       folder_tensors(model, type, model.family == Family::gpt2 ? "transformer." : "model.")) {
    const Home home = home_of(tensor.name, model);
    const bool transposed =
        model.family == Family::gpt2 && tensor.shape.size() == 2 && tensor.name.find(".h.") != std::string::npos;
    const Elems width = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
    for (Elems i = 0; i < tensor.shape[0]; ++i)
      for (Elems j = 0; j < width; ++j) {
        const Elems row = home.first_row + (transposed ? j : i), col = transposed ? i : j;
        ours.at(home.ours).at(static_cast<std::size_t>(row * cols.at(home.ours) + col)) =
            value_of(tensor, i * width + j, type);
      }
  }
  return ours;
}

}  // namespace

TEST_CASE(
    "slices: every element of every tensor comes to its place, on any number of ranks, through any buffer, and padding "
    "stays zero") {
  for (const char* kind : folder_kinds)
    for (const hf::Storage type : {hf::Storage::f32, hf::Storage::bf16, hf::Storage::f16}) {
      const ModelConfig model = folder_model(kind);
      const TemporaryFolder path("slice_test.tmp");
      write_folder(path.path, model, type, type == hf::Storage::bf16 ? 3 : 1);
      const hf::ModelFolder folder(path.path);
      const std::vector<UnitSpec> units = describe(model, {}).units;
      const auto values = wanted(model, type, units);
      for (const auto& [ranks, staging_bytes] : {std::pair{1, 1 << 20}, {2, 100}, {3, 4000}, {7, 8}}) {
        INFO(kind << " " << hf::name(type) << " " << ranks);
        std::vector<std::byte> staging(static_cast<std::size_t>(staging_bytes));
        for (std::size_t u = 0; u < units.size(); ++u) {
          const FlatLayout layout(units[u], ranks);
          std::vector<float> flat(static_cast<std::size_t>(layout.full_elems()));
          for (int rank = 0; rank < ranks; ++rank)
            hf::read_slice(folder.weights, hf::overlaps(folder.map[u], layout, rank),
                           View(flat.data() + rank * layout.slice_elems, DType::f32, layout.slice_elems),
                           {staging.data(), DType::byte, staging_bytes});
          std::vector<float> expected(flat.size());
          for (std::size_t t = 0; t < units[u].tensors.size(); ++t) {
            const std::vector<float>& tensor = values.at(units[u].tensors[t].name);
            std::copy(tensor.begin(), tensor.end(), expected.begin() + layout.tensor_begin[t]);
          }
          REQUIRE(std::memcmp(flat.data(), expected.data(), flat.size() * sizeof(float)) == 0);
        }
      }
    }
}

TEST_CASE("slices: the blocks of an overlap hold each of its elements once and no other") {
  for (const bool transposed : {false, true})
    for (const auto& [rows, cols] : {std::pair<Elems, Elems>{1, 1}, {5, 7}, {13, 3}}) {
      const hf::Piece piece{.rows = rows, .cols = cols, .transposed = transposed};
      for (Elems first = 0; first < piece.elems(); ++first)
        for (Elems elems = 1; first + elems <= piece.elems(); ++elems)
          for (const Elems most : {Elems{1}, Elems{4}, Elems{1000}}) {
            std::multiset<Elems> places, expected;
            for (const hf::Block& block : hf::blocks({&piece, first, elems, 0}, most)) {
              REQUIRE(block.elems() <= most);
              hf::for_each_run(piece, block, [&](Elems at, Elems count) {
                for (Elems i = at; i < at + count; ++i) places.insert(i);
              });
            }
            for (Elems i = first; i < first + elems; ++i) expected.insert(transposed ? i % cols * rows + i / cols : i);
            REQUIRE(places == expected);
          }
    }
}

TEST_CASE(
    "tied head: a folder that holds the head once more is taken where it equals the table, by every rank's share, and "
    "refused else") {
  for (const char* kind : {"gpt2", "qwen2"}) {
    const ModelConfig model = folder_model(kind);
    const TemporaryFolder path("tied_test.tmp");
    write_folder(path.path, model, hf::Storage::bf16);
    std::vector<RawTensor> tensors =
        folder_tensors(model, hf::Storage::bf16, model.family == Family::gpt2 ? "transformer." : "model.");
    tensors.push_back({"lm_head.weight", "BF16", tensors[0].shape, tensors[0].bytes});
    const auto refusals = [&](const std::string& head) {
      tensors.back().bytes = head;
      write_text(path.path + "/model.safetensors", safetensors_text(tensors));
      const hf::ModelFolder folder(path.path);
      std::vector<std::byte> staging(70);
      int count = 0;
      for (int share = 0; share < 3; ++share) try {
          hf::check_tied_head(folder.weights, token_table_of(folder.map), share, 3, {staging.data(), DType::byte, 70});
        } catch (const Error& error) {
          CHECK_THAT(error.what(),
                     Catch::Contains("lm_head.weight differs") && Catch::Contains("set tie_word_embeddings to false"));
          ++count;
        }
      return count;
    };
    const std::string table = tensors[0].bytes;
    CHECK(refusals(table) == 0);
    for (const std::size_t at : {std::size_t{0}, table.size() / 2, table.size() - 1}) {
      std::string other = table;
      other[at] = static_cast<char>(other[at] ^ 1);
      CHECK(refusals(other) == 1);
    }
  }
}
