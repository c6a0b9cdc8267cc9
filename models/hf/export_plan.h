#pragma once
// What an exported model folder will hold: every tensor's place in its files. Pure: equal on all ranks.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/hf/storage.h"
#include "models/hf/tensor_map.h"

namespace trireme::hf {

/// One safetensors file to be.
struct ExportFile {
  std::string name;
  std::string header;  // its first bytes: the length and the JSON
  Bytes bytes = 0;     // of the whole file
};

struct ExportPlace {
  std::size_t file = 0;
  Bytes begin = 0;  // in the file
  Storage type = Storage::f32;
};

struct ExportPlan {
  std::vector<ExportFile> files;
  std::map<std::string, ExportPlace> places;  // by tensor
  std::string index;                          // model.safetensors.index.json; empty for one file
  Bytes total_bytes() const;
};

/// As transformers writes folders: model.safetensors, or above so many bytes of tensors several files.
inline constexpr Bytes most_file_bytes = 5'000'000'000;

/// Lays the map's tensors one behind the other, wider types first, so that each is aligned to its type.
ExportPlan plan_export(const TensorMap& map, const std::function<Storage(const Piece&)>& type_of,
                       Bytes most_bytes = most_file_bytes);

}  // namespace trireme::hf
