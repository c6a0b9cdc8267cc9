// Qwen2: Llama with a bias of q, k and v.

#include "models/families/checks.h"
#include "models/families/llama_like.h"
#include "models/hf/llama_folder.h"

namespace trireme {
namespace {

Segments segments(const ModelConfig& config) {
  AttentionForm attention = llama_attention(config);
  attention.qkv_bias = true;
  return llama_segments(config, attention);
}

void check(const ModelConfig& config) {
  check_plain_heads(config);
  check_rope(config);
}

// attention_bias is not read: the bias is always there.
hf::FolderConfig read(hf::Keys& keys) {
  keys.no_null({"attention_dropout", "use_sliding_window", "max_window_layers"});
  hf::FolderConfig config =
      read_llama(keys, {.family = Family::qwen2,
                        .missing = {.ffn = 22016, .vocab = 151936, .context = 32768, .kv_heads = 32},
                        .window = hf::Window::some_layers});
  config.model.qkv_bias = true;
  return config;
}

hf::OrderedJson write(const ModelConfig& config) {
  hf::OrderedJson json = hf::write_llama(config);
  json["use_sliding_window"] = false;
  return json;
}

constexpr hf::FolderFormat format = hf::llama_format("Qwen2ForCausalLM", read, write);

}  // namespace

constinit const FamilyRules qwen2_rules{segments, check, format};

}  // namespace trireme
