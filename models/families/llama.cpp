// Llama; with a qkv bias it is Qwen2, and has Qwen2's folders.

#include "models/families/checks.h"
#include "models/families/llama_like.h"
#include "models/hf/llama_folder.h"

namespace trireme {
namespace {

Segments segments(const ModelConfig& config) {
  AttentionForm attention = llama_attention(config);
  attention.qkv_bias = config.qkv_bias;
  return llama_segments(config, attention);
}

void check(const ModelConfig& config) {
  check_plain_heads(config);
  check_rope(config);
}

hf::FolderConfig read(hf::Keys& keys) {
  keys.no_null({"attention_bias", "mlp_bias"});
  keys.only({{"attention_bias", false}, {"mlp_bias", false}});
  return read_llama(keys, {.family = Family::llama, .missing = {.ffn = 11008, .vocab = 32000, .context = 2048}});
}

hf::OrderedJson write(const ModelConfig& config) {
  hf::OrderedJson json = hf::write_llama(config);
  json["attention_bias"] = false, json["mlp_bias"] = false;
  return json;
}

constexpr hf::FolderFormat format = hf::llama_format("LlamaForCausalLM", read, write);

}  // namespace

constinit const FamilyRules llama_rules{segments, check, format};

}  // namespace trireme
