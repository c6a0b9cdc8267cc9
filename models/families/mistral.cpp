// Mistral: Llama with heads of a size of their own. Its window is not computed: sequences are as long as it at most.

#include "models/families/checks.h"
#include "models/families/llama_like.h"
#include "models/hf/llama_folder.h"

namespace trireme {
namespace {

Segments segments(const ModelConfig& config) { return llama_segments(config, llama_attention(config)); }

hf::FolderConfig read(hf::Keys& keys) {
  keys.no_null({"attention_dropout"});
  return read_llama(keys, {.family = Family::mistral,
                           .missing = {.ffn = 14336, .vocab = 32000, .context = 131072, .kv_heads = 8},
                           .has_head_dim = true,
                           .window = hf::Window::all_layers});
}

hf::OrderedJson write(const ModelConfig& config) {
  hf::OrderedJson json = hf::write_llama(config);
  json["head_dim"] = config.head_size();
  json["sliding_window"] = nullptr;
  return json;
}

constexpr hf::FolderFormat format = hf::llama_format("MistralForCausalLM", read, write);

}  // namespace

constinit const FamilyRules mistral_rules{segments, check_rope, format};

}  // namespace trireme
