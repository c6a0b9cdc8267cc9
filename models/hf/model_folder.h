#pragma once
// A Hugging Face model folder as a whole, found to be in order.

#include <string>

#include "models/hf/config.h"
#include "models/hf/tensor_map.h"
#include "models/hf/weights.h"
#include "models/model_config.h"

namespace trireme::hf {

/// The text of DIR/config.json. Errors: Error(config) for a folder or file that is not there, or is longer than 1 MB.
std::string read_config_text(const std::string& folder);
/// What it says; no tensor file is opened.
FolderConfig read_model(const std::string& folder);

/// Config, headers and the map to our tensors.
struct ModelFolder {
  std::string config_text;
  ModelConfig model;
  std::string dropout;  // as FolderConfig says it
  Weights weights;
  TensorNames names;
  TensorMap map;

  /// Errors: those of read_config(), Weights and check_tensors(): a folder that is made is complete.
  explicit ModelFolder(const std::string& folder) : ModelFolder(folder, read_config_text(folder)) {}

  /// Hashes of config and headers, and the files' sizes: equal on ranks with the same model.
  std::string summary() const;

 private:
  ModelFolder(const std::string& folder, std::string text);
  ModelFolder(const std::string& folder, std::string text, const FolderConfig& config);
};

}  // namespace trireme::hf
