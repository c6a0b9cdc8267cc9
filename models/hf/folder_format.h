#pragma once
// How the folders of a family write a model: what a family's file hooks itself to.

#include <nlohmann/json.hpp>
#include <vector>

#include "models/hf/config.h"
#include "models/hf/keys.h"
#include "models/model_config.h"
#include "runtime/base/units.h"

namespace trireme::hf {

using OrderedJson = nlohmann::ordered_json;

/// Part of a folder's name behind the block's, and how many rows (elements of a vector) of our tensor it is.
struct TensorPart {
  const char* name;
  Elems length;
};

/// What one of our tensors is made of, in order.
struct TensorRule {
  const char* ours;  // behind "blocks.<n>."
  std::vector<TensorPart> parts;
};

/// What names begin with, and the tensors that stand outside of blocks.
struct FolderNames {
  const char *prefix, *table, *positions, *block, *norm;
};

struct FolderFormat {
  const char* architecture;
  FolderNames names;
  bool transposed = false;  // matrices of blocks are [in,out]
  /// Rules for tensors that a model has not are not used.
  std::vector<TensorRule> (*tensors)(const ModelConfig& model);
  /// Of a config.json whose model_type is the family's. Errors: those of read_config().
  FolderConfig (*read)(Keys& keys);
  /// What it says beside architectures, model_type, the type of tensors and tie_word_embeddings.
  OrderedJson (*write)(const ModelConfig& model);
};

}  // namespace trireme::hf
