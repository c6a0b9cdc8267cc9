// Qwen3: Llama with heads of a size of their own, and RMSNorm over each head of q and k.

#include "models/families/checks.h"
#include "models/families/llama_like.h"
#include "models/hf/llama_folder.h"

namespace trireme {
namespace {

Segments segments(const ModelConfig& config) {
  AttentionForm attention = llama_attention(config);
  attention.head_norms = true;
  return llama_segments(config, attention);
}

hf::FolderConfig read(hf::Keys& keys) {
  keys.no_null({"attention_bias", "attention_dropout", "head_dim", "use_sliding_window", "max_window_layers"});
  keys.only({{"attention_bias", false}});
  return read_llama(keys,
                    {.family = Family::qwen3,
                     .missing = {.ffn = 22016, .vocab = 151936, .context = 32768, .kv_heads = 32, .head_dim = 128},
                     .has_head_dim = true,
                     .window = hf::Window::some_layers});
}

hf::OrderedJson write(const ModelConfig& config) {
  hf::OrderedJson json = hf::write_llama(config);
  json["head_dim"] = config.head_size();
  json["attention_bias"] = false, json["use_sliding_window"] = false;
  return json;
}

constexpr hf::FolderFormat format = hf::llama_format("Qwen3ForCausalLM", read, write);

}  // namespace

constinit const FamilyRules qwen3_rules{segments, check_rope, format};

}  // namespace trireme
