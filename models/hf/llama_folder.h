#pragma once
// Folders of Llama and those like it.

#include "models/hf/folder_format.h"

namespace trireme::hf {

/// What transformers takes for a size that is missing.
struct MissingSizes {
  int ffn, vocab, context;
  int kv_heads = 0;  // 0: as many as heads
  int head_dim = 0;  // 0: hidden_size / num_attention_heads
};

/// Layers that see but so many tokens back: none, those that layer_types or max_window_layers say, all.
enum class Window { none, some_layers, all_layers };

/// What tells the config.json of one family from another's, but for keys that it alone has.
struct LlamaDialect {
  Family family;
  MissingSizes missing;
  bool has_head_dim = false;  // a head size of its own
  Window window = Window::none;
};

std::vector<TensorRule> llama_tensors(const ModelConfig& model);
FolderConfig read_llama(Keys& keys, const LlamaDialect& dialect);
OrderedJson write_llama(const ModelConfig& model);

constexpr FolderFormat llama_format(const char* architecture, FolderConfig (*read)(Keys&),
                                    OrderedJson (*write)(const ModelConfig&)) {
  return {.architecture = architecture,
          .names = {"model.", "embed_tokens.weight", nullptr, "layers.", "norm."},
          .tensors = llama_tensors,
          .read = read,
          .write = write};
}

}  // namespace trireme::hf
