#include "models/hf/model_folder.h"

#include <xxhash.h>

#include <filesystem>

#include "models/describe.h"
#include "models/hf/config.h"
#include "runtime/base/error.h"
#include "runtime/base/input_file.h"

namespace trireme::hf {
namespace {

constexpr Bytes longest_config_bytes = 1'000'000;

std::string config_path(const std::string& folder) { return folder + "/config.json"; }

// Before units are made of it: a damaged number of layers must not fill the memory.
TensorMap map_of(const ModelConfig& model, const Weights& weights, bool prefix) {
  require(static_cast<std::size_t>(model.layers) <= weights.tensors().size(), ErrorKind::data,
          "{}: config.json says {} layers and there are {} tensors; fetch the folder again, or correct config.json",
          weights.folder(), model.layers, weights.tensors().size());
  return map_tensors(model, describe(model, {}).units, prefix);
}

}  // namespace

std::string read_config_text(const std::string& folder) {
  std::error_code failed;
  require(std::filesystem::is_directory(folder, failed), ErrorKind::config,
          "model.hf = {}: no such folder; give a model folder with "
          "config.json and model.safetensors",
          folder);
  const std::string path = config_path(folder);
  try {
    const InputFile file(path);
    require(file.size_bytes() <= longest_config_bytes, ErrorKind::config, "{}: {} bytes are too long for a config.json",
            path, file.size_bytes());
    std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
    file.read(0, text.data(), file.size_bytes());
    return text;
  } catch (const Error& error) {
    throw Error(ErrorKind::config, error.what());
  }
}

ModelConfig read_model(const std::string& folder) { return read_config(read_config_text(folder), config_path(folder)); }

ModelFolder::ModelFolder(const std::string& folder)
    : config_text(read_config_text(folder)), model(read_config(config_text, config_path(folder))), weights(folder),
      prefix(has_prefix(model, weights)), map(map_of(model, weights, prefix)) {
  check_tensors(model, map, weights);
}

std::string ModelFolder::summary() const {
  return fmt::format("config.json xxh3 {:016x}\n{}", XXH3_64bits(config_text.data(), config_text.size()),
                     weights.summary());
}

}  // namespace trireme::hf
