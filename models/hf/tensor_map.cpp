#include "models/hf/tensor_map.h"

#include <algorithm>
#include <set>
#include <utility>

#include "models/families/family.h"
#include "models/hf/folder_format.h"
#include "runtime/base/error.h"

namespace trireme::hf {
namespace {

/// All rules of a model, looked up by our names.
class Mapper {
 public:
  Mapper(const ModelConfig& model, const TensorNames& found)
      : format_(rules_of(model.family).folder),
        names_(format_.names),
        prefix_(found.prefix ? names_.prefix : ""),
        table_(found.table_is_head ? head_name : prefix_ + names_.table),
        rules_(format_.tensors(model)) {}

  std::vector<Piece> pieces(const TensorSpec& tensor) const {
    const Elems rows = tensor.rows - tensor.init.padding_rows;
    if (tensor.name == "embedding.token.weight") return whole(tensor, table_, rows);
    if (tensor.name == "embedding.position.weight") return whole(tensor, prefix_ + names_.positions, rows);
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
    const auto rule = std::find_if(rules_.begin(), rules_.end(),
                                   [&](const TensorRule& r) { return tensor.name.substr(rest) == r.ours; });
    ensure(rule != rules_.end(), "no tensor of a model folder is {}", tensor.name);
    const bool is_vector = tensor.rows == 1;
    std::vector<Piece> pieces;
    Elems first = 0;
    for (const TensorPart& part : rule->parts) {
      Piece piece{.name = prefix_ + names_.block + tensor.name.substr(number, rest - number) + part.name,
                  .first = first,
                  .rows = is_vector ? 1 : part.length,
                  .cols = is_vector ? part.length : tensor.cols,
                  .is_vector = is_vector,
                  .transposed = format_.transposed && !is_vector};
      first += piece.elems();
      pieces.push_back(std::move(piece));
    }
    ensure(first == tensor.elems(), "the parts of {} are {} elements of {}", tensor.name, first, tensor.elems());
    return pieces;
  }

  const FolderFormat& format_;
  const FolderNames& names_;
  std::string prefix_, table_;
  std::vector<TensorRule> rules_;
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
  const FolderNames& names = rules_of(model.family).folder.names;
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
