#pragma once
// Model folders for tests, written down a second time: names, shapes and bytes as transformers has them.

#include <cstdint>
#include <string>
#include <vector>

#include "models/hf/storage.h"
#include "models/model_config.h"
#include "runtime/base/units.h"

namespace trireme::test {

/// A folder under the tests' working directory that goes at the end.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::string path;
};

struct RawTensor {
  std::string name;
  std::string type;  // as safetensors calls it
  std::vector<Elems> shape;
  std::string bytes;
};

void write_text(const std::string& path, const std::string& text);
std::string read_text(const std::string& path);
/// `header`: JSON; its length is put in front.
std::string safetensors_text(const std::string& header, const std::string& data);
std::string safetensors_text(const std::vector<RawTensor>& tensors);

/// Small models of every kind: gpt2, gpt2-untied, llama (three query heads to a key head, untied, scaled RoPE), qwen2,
/// qwen3 and mistral (untied, heads that are no part of the width).
ModelConfig folder_model(const std::string& kind);
/// Every tensor that transformers saves of the model, in its order, with random finite bits, denormals among them.
std::vector<RawTensor> folder_tensors(const ModelConfig& model, hf::Storage type, const std::string& prefix);
/// config.json as transformers 5 writes it.
std::string folder_config(const ModelConfig& model, hf::Storage type);
/// The whole folder in one file, or cut into `files` with an index.
void write_folder(const std::string& path, const ModelConfig& model, hf::Storage type, int files = 1);

inline constexpr const char* folder_kinds[] = {"gpt2", "gpt2-untied", "llama", "qwen2", "qwen3", "mistral"};

}  // namespace trireme::test
