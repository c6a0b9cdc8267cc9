#include "models/hf/model_folder.h"

#include <xxhash.h>

#include <filesystem>
#include <utility>

#include "models/describe.h"
#include "runtime/base/error.h"
#include "runtime/base/input_file.h"
#include "runtime/base/unfetched_file.h"

namespace trireme::hf {
namespace {

constexpr Bytes longest_config_bytes = 1'000'000;

std::string config_path(const std::string& folder) { return folder + "/config.json"; }

// Before units are made of it: a damaged number of layers must not fill the memory.
TensorMap map_of(const ModelConfig& model, const Weights& weights, const TensorNames& names) {
  require(static_cast<std::size_t>(model.layers) <= weights.tensors().size(), ErrorKind::data,
          "{}: config.json says {} layers and there are {} tensors; fetch the folder again, or correct config.json",
          weights.folder(), model.layers, weights.tensors().size());
  return map_tensors(model, describe(model, {}).units, names);
}

// A size that is missing is seen by the tensors that it does not fit.
template <typename Make>
TensorMap with_missing(const FolderConfig& config, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    throw Error(error.kind(), error.what() + config.missing, error.where());
  }
}

}  // namespace

std::string read_config_text(const std::string& folder) {
  const std::string path = config_path(folder);
  try {
    refuse_broken_link(folder);
    std::error_code failed;
    require(std::filesystem::is_directory(folder, failed), ErrorKind::config,
            "model.hf = {}: no such folder; give a model folder with config.json and model.safetensors", folder);
    const InputFile file = open_fetched(path);
    require(file.size_bytes() <= longest_config_bytes, ErrorKind::config, "{}: {} bytes are too long for a config.json",
            path, file.size_bytes());
    std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
    file.read(0, text.data(), file.size_bytes());
    return text;
  } catch (const Error& error) {
    throw Error(ErrorKind::config, error.what());
  }
}

FolderConfig read_model(const std::string& folder) {
  return read_config(read_config_text(folder), config_path(folder));
}

ModelFolder::ModelFolder(const std::string& folder, std::string text)
    : ModelFolder(folder, text, read_config(text, config_path(folder))) {}

ModelFolder::ModelFolder(const std::string& folder, std::string text, const FolderConfig& config)
    : config_text(std::move(text)),
      model(config.model),
      dropout(config.dropout),
      weights(folder),
      names(find_names(model, weights)),
      map(with_missing(config, [&] {
        TensorMap found = map_of(model, weights, names);
        check_tensors(model, found, weights);
        return found;
      })) {}

std::string ModelFolder::summary() const {
  return fmt::format("config.json xxh3 {:016x}\n{}", XXH3_64bits(config_text.data(), config_text.size()),
                     weights.summary());
}

}  // namespace trireme::hf
