#pragma once
// Which tensors of a model folder make up ours: names, shapes and places. Pure but for the check against a folder.

#include <string>
#include <vector>

#include "models/hf/weights.h"
#include "models/model_config.h"
#include "shard/unit.h"

namespace trireme::hf {

/// One tensor of a folder as a part of one of ours: elements [first, first + elems) of it, row by row.
struct Piece {
  std::string name;
  Elems first = 0;
  Elems rows = 1, cols = 1;  // as they lie in ours, [out,in]; a vector is one row
  bool is_vector = false;
  bool transposed = false;  // the folder has [cols, rows]: GPT-2's Conv1D stores [in,out]

  Elems elems() const { return rows * cols; }
  /// In the folder.
  std::vector<Elems> shape() const;
};

/// [unit][tensor][piece]. q, k, v and gate, up are separate in Llama's folders; padding rows of the vocabulary are in
/// none.
using TensorMap = std::vector<std::vector<std::vector<Piece>>>;

/// How a folder names the same tensors.
struct TensorNames {
  /// Names begin with "transformer." or "model.", as whole models have them; those of models without a head do not.
  bool prefix = true;
  /// A tied model's table is there as its head alone: of two names, safetensors' save_model keeps the first.
  bool table_is_head = false;
};

/// `units`: what describe() gives of the model.
TensorMap map_tensors(const ModelConfig& model, const std::vector<UnitSpec>& units, const TensorNames& names = {});

TensorNames find_names(const ModelConfig& model, const Weights& weights);

/// The head's name, also where a tied model's folder holds it once more.
inline constexpr const char* head_name = "lm_head.weight";
/// What a tied head must equal.
const Piece& token_table_of(const TensorMap& map);

/// Every piece is in the folder with its shape and a type that is read, and nothing else is, but for constants that
/// older folders hold (attention masks, RoPE frequencies) and, in a tied model, the head with the table's shape and
/// type.
///
/// Errors  Error(data) that lists the first few missing, extra and misshapen tensors, before anything is read.
void check_tensors(const ModelConfig& model, const TensorMap& map, const Weights& weights);

}  // namespace trireme::hf
