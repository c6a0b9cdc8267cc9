#include "models/hf/tensor_map.h"

#include <algorithm>
#include <set>
#include <utility>

#include "runtime/base/error.h"

namespace trireme::hf {
namespace {

struct Names {
  const char *prefix, *table, *block, *norm;
};
constexpr Names gpt2_names{"transformer.", "wte.weight", "h.", "ln_f."},
    llama_names{"model.", "embed_tokens.weight", "layers.", "norm."};

const Names& names_of(const ModelConfig& model) {
  switch (model.family) {
    case Family::gpt2: return gpt2_names;
    case Family::llama: return llama_names;
  }
  return llama_names;
}

/// Part of a folder's name behind the block's, and how many rows (elements of a vector) of our tensor it is.
struct Part {
  const char* name;
  Elems length;
};

/// What one of our tensors is made of, in order.
struct Rule {
  const char* ours;  // behind "blocks.<n>."
  std::vector<Part> parts;
};

std::vector<Rule> gpt2_rules(const ModelConfig& m) {
  const Elems width = m.width, ffn = m.ffn;
  return {{"attention.norm.weight", {{"ln_1.weight", width}}},
          {"attention.norm.bias", {{"ln_1.bias", width}}},
          {"attention.qkv.weight", {{"attn.c_attn.weight", 3 * width}}},
          {"attention.qkv.bias", {{"attn.c_attn.bias", 3 * width}}},
          {"attention.out.weight", {{"attn.c_proj.weight", width}}},
          {"attention.out.bias", {{"attn.c_proj.bias", width}}},
          {"mlp.norm.weight", {{"ln_2.weight", width}}},
          {"mlp.norm.bias", {{"ln_2.bias", width}}},
          {"mlp.up.weight", {{"mlp.c_fc.weight", ffn}}},
          {"mlp.up.bias", {{"mlp.c_fc.bias", ffn}}},
          {"mlp.down.weight", {{"mlp.c_proj.weight", width}}},
          {"mlp.down.bias", {{"mlp.c_proj.bias", width}}}};
}

std::vector<Rule> llama_rules(const ModelConfig& m) {
  const Elems width = m.width, ffn = m.ffn, keys = width / m.heads * m.kv_heads;
  return {{"attention.norm.weight", {{"input_layernorm.weight", width}}},
          {"attention.qkv.weight",
           {{"self_attn.q_proj.weight", width}, {"self_attn.k_proj.weight", keys}, {"self_attn.v_proj.weight", keys}}},
          {"attention.qkv.bias",
           {{"self_attn.q_proj.bias", width}, {"self_attn.k_proj.bias", keys}, {"self_attn.v_proj.bias", keys}}},
          {"attention.out.weight", {{"self_attn.o_proj.weight", width}}},
          {"mlp.norm.weight", {{"post_attention_layernorm.weight", width}}},
          {"mlp.gate_up.weight", {{"mlp.gate_proj.weight", ffn}, {"mlp.up_proj.weight", ffn}}},
          {"mlp.down.weight", {{"mlp.down_proj.weight", width}}}};
}

/// All rules of a model, looked up by our names.
class Mapper {
 public:
  Mapper(const ModelConfig& model, const TensorNames& found)
      : names_(names_of(model)),
        prefix_(found.prefix ? names_.prefix : ""),
        table_(found.table_is_head ? head_name : prefix_ + names_.table),
        is_gpt2_(model.family == Family::gpt2),
        rules_(is_gpt2_ ? gpt2_rules(model) : llama_rules(model)) {}

  std::vector<Piece> pieces(const TensorSpec& tensor) const {
    const Elems rows = tensor.rows - tensor.init.padding_rows;
    if (tensor.name == "embedding.token.weight") return whole(tensor, table_, rows);
    if (tensor.name == "embedding.position.weight") return whole(tensor, prefix_ + "wpe.weight", rows);
    if (tensor.name == "head.vocabulary.weight") return whole(tensor, head_name, rows);
    if (tensor.name == "head.norm.weight") return whole(tensor, prefix_ + names_.norm + "weight", rows);
    if (tensor.name == "head.norm.bias") return whole(tensor, prefix_ + names_.norm + "bias", rows);
    return block_pieces(tensor);
  }

 private:
  static std::vector<Piece> whole(const TensorSpec& tensor, std::string name, Elems rows) {
    return {{.name = std::move(name), .rows = rows, .cols = tensor.cols, .is_vector = tensor.rows == 1}};
  }
  // Ours are "blocks.<n>.<rest>".
  std::vector<Piece> block_pieces(const TensorSpec& tensor) const {
    const std::size_t number = tensor.name.find('.') + 1, rest = tensor.name.find('.', number) + 1;
    const auto rule =
        std::find_if(rules_.begin(), rules_.end(), [&](const Rule& r) { return tensor.name.substr(rest) == r.ours; });
    ensure(rule != rules_.end(), "no tensor of a model folder is {}", tensor.name);
    const bool is_vector = tensor.rows == 1;
    std::vector<Piece> pieces;
    Elems first = 0;
    for (const Part& part : rule->parts) {
      Piece piece{.name = prefix_ + names_.block + tensor.name.substr(number, rest - number) + part.name,
                  .first = first,
                  .rows = is_vector ? 1 : part.length,
                  .cols = is_vector ? part.length : tensor.cols,
                  .is_vector = is_vector,
                  .transposed = is_gpt2_ && !is_vector};
      first += piece.elems();
      pieces.push_back(std::move(piece));
    }
    ensure(first == tensor.elems(), "the parts of {} are {} elements of {}", tensor.name, first, tensor.elems());
    return pieces;
  }

  const Names& names_;
  std::string prefix_, table_;
  bool is_gpt2_;
  std::vector<Rule> rules_;
};

// Constants that older versions of transformers saved beside the parameters.
bool is_constant(const std::string& name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name.ends_with("rotary_emb.inv_freq");
}

std::string listed(const char* what, const std::vector<std::string>& names) {
  constexpr std::size_t most = 5;
  if (names.empty()) return "";
  const std::vector<std::string> few(names.begin(),
                                     names.begin() + static_cast<std::ptrdiff_t>(std::min(most, names.size())));
  return fmt::format("; {}: {}{}", what, fmt::join(few, ", "),
                     names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

std::string misfit(const std::string& name, const WeightPlace& place, const std::vector<Elems>& shape) {
  return fmt::format("{} {} instead of {}", name, shape_text(place.tensor->shape), shape_text(shape));
}

void check_tied_head(const Piece& table, const Weights& weights, std::vector<std::string>& misshapen) {
  const WeightPlace head = weights.find(head_name), place = weights.find(table.name);
  if (!head.file || !place.file || table.name == head_name) return;
  if (head.tensor->shape != table.shape())
    misshapen.push_back(misfit(head_name, head, table.shape()));
  else if (head.tensor->type != place.tensor->type)
    misshapen.push_back(
        fmt::format("{} {} beside {} of the tied {}", head_name, head.tensor->type, place.tensor->type, table.name));
}

}  // namespace

std::vector<Elems> Piece::shape() const {
  if (is_vector) return {cols};
  return transposed ? std::vector{cols, rows} : std::vector{rows, cols};
}

TensorMap map_tensors(const ModelConfig& model, const std::vector<UnitSpec>& units, const TensorNames& names) {
  const Mapper mapper(model, names);
  TensorMap map;
  for (const UnitSpec& unit : units) {
    map.emplace_back();
    for (const TensorSpec& tensor : unit.tensors) map.back().push_back(mapper.pieces(tensor));
  }
  return map;
}

TensorNames find_names(const ModelConfig& model, const Weights& weights) {
  const Names& names = names_of(model);
  const auto has = [&](const std::string& name) { return weights.find(name).file != nullptr; };
  const bool bare = has(names.table) || has(std::string(names.norm) + "weight");
  return {.prefix = !bare,
          .table_is_head = model.tied && has(head_name) && !has((bare ? "" : names.prefix) + std::string(names.table))};
}

const Piece& token_table_of(const TensorMap& map) { return map.front().front().front(); }

void check_tensors(const ModelConfig& model, const TensorMap& map, const Weights& weights) {
  std::vector<std::string> missing, extra, misshapen;
  std::set<std::string> known;
  for (const auto& unit : map)
    for (const auto& tensor : unit)
      for (const Piece& piece : tensor) {
        known.insert(piece.name);
        const WeightPlace place = weights.find(piece.name);
        if (!place.file)
          missing.push_back(piece.name);
        else if (place.tensor->shape != piece.shape())
          misshapen.push_back(misfit(piece.name, place, piece.shape()));
        else
          storage_of(place);
      }
  if (model.tied) {
    known.insert(head_name);
    check_tied_head(token_table_of(map), weights, misshapen);
  }
  for (const auto& [name, place] : weights.tensors())
    if (!known.contains(name) && !is_constant(name)) extra.push_back(name);
  if (missing.empty() && extra.empty() && misshapen.empty()) return;
  throw Error(
      ErrorKind::data,
      fmt::format("{}: its tensors are not those of config.json{}{}{}; fetch the folder again, or correct config.json",
                  weights.folder(), listed("missing", missing), listed("extra", extra),
                  listed("of another shape or type", misshapen)));
}

}  // namespace trireme::hf
