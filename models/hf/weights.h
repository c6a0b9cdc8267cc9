#pragma once
// The tensors of a model folder: one file, or several and the index that says which tensor is where.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/hf/safetensors.h"
#include "models/hf/storage.h"

namespace trireme::hf {

/// Where a tensor of the folder is.
struct WeightPlace {
  const SafetensorsFile* file = nullptr;
  const StoredTensor* tensor = nullptr;
};

class Weights {
 public:
  /// Opens model.safetensors, or what model.safetensors.index.json names, and reads every header; no tensor is read.
  ///
  /// Errors  Error(data): neither is there; an index that is no JSON, names files outside the folder, or tensors that
  /// their
  ///         file lacks; a file's tensor that the index has not, or has elsewhere; those of SafetensorsFile.
  explicit Weights(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const std::map<std::string, WeightPlace, std::less<>>& tensors() const { return places_; }
  /// Null file where there is none of that name.
  WeightPlace find(std::string_view name) const;
  /// Elements [first, first + elems) of a tensor of one of our types, as they are stored.
  void read(const WeightPlace& place, Elems first, Elems elems, void* out) const;
  /// A line for each file: its size and the hash of its header. Equal on all ranks that see the same folder.
  std::string summary() const;

 private:
  std::string folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, WeightPlace, std::less<>> places_;
};

/// The type of a tensor. Errors: Error(data) that names it, for a type that no parameter has.
Storage storage_of(const WeightPlace& place);

}  // namespace trireme::hf
