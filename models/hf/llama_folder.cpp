#include "models/hf/llama_folder.h"

#include <algorithm>

#include "models/hf/config_parts.h"

namespace trireme::hf {
namespace {

void read_head_dim(Keys& keys, const LlamaDialect& dialect, ModelConfig& model) {
  if (dialect.has_head_dim) {
    model.head_dim = dialect.missing.head_dim > 0 ? keys.size("head_dim", dialect.missing.head_dim)
                                                  : keys.integer("head_dim", model.head_size());
    if (keys.find("head_dim") && model.head_dim == 0) keys.refuse("head_dim", 0, "expected a size from 1 on");
    return;
  }
  if (model.heads > 0 && keys.integer("head_dim", model.head_size()) != model.head_size())
    keys.refuse("head_dim", *keys.find("head_dim"),
                fmt::format("heads of hidden_size / num_attention_heads = {} are computed here", model.head_size()));
}

// Which layers have the window: layer_types where it is given, else those from max_window_layers on.
bool has_sliding_layers(const Keys& keys, int layers) {
  const Json* types = keys.find("layer_types");
  if (!types) return keys.flag("use_sliding_window", false) && keys.integer("max_window_layers", 28) < layers;
  const auto is_full = [](const Json& type) { return type == "full_attention" || type == "attention"; };
  const auto is_sliding = [](const Json& type) { return type == "sliding_attention"; };
  const bool known = types->is_array() && std::all_of(types->begin(), types->end(), [&](const Json& type) {
                       return is_full(type) || is_sliding(type);
                     });
  if (!known || types->size() != static_cast<std::size_t>(layers))
    keys.refuse("layer_types", *types, fmt::format("expected {} times \"full_attention\"{}", layers, keys.missing()));
  return std::any_of(types->begin(), types->end(), is_sliding);
}

// Where layer_types stands beside the window, transformers takes Mistral for Ministral, which goes by it.
void read_window_of_all(const Keys& keys, FolderConfig& config) {
  const char* const key = "sliding_window";
  const Json* types = keys.find("layer_types");
  if (types && !has_sliding_layers(keys, config.model.layers)) return;
  const bool is_null = keys.has(key) && !keys.find(key);
  if (is_null && types) keys.refuse("layer_types", *types, "there is no window: sliding_window says none");
  if (is_null) return;
  const int window = keys.integer(key, 4096);
  config.limits.push_back({window, fmt::format("{} = {}{}", key, window, keys.has(key) ? "" : " (as it is missing)")});
}

void read_window_of_some(const Keys& keys, FolderConfig& config) {
  if (!has_sliding_layers(keys, config.model.layers)) return;
  const bool is_null = keys.has("sliding_window") && !keys.find("sliding_window");
  const bool has_window = keys.flag("use_sliding_window", false) && !is_null;
  const bool by_type = keys.find("layer_types") != nullptr;
  if (!has_window && by_type)
    keys.refuse("layer_types", *keys.find("layer_types"),
                "there is no window: use_sliding_window or sliding_window say none");
  if (!has_window) return;
  const int window = keys.integer("sliding_window", 4096);
  config.limits.push_back({window, fmt::format("sliding_window = {} (use_sliding_window = true)", window)});
}

void read_window(const Keys& keys, Window window, FolderConfig& config) {
  switch (window) {
    case Window::none: return;
    case Window::some_layers: return read_window_of_some(keys, config);
    case Window::all_layers: return read_window_of_all(keys, config);
  }
}

}  // namespace

std::vector<TensorRule> llama_tensors(const ModelConfig& m) {
  const Elems width = m.width, ffn = m.ffn, head = m.head_size(), queries = head * m.heads, keys = head * m.kv_heads;
  return {
      {"attention.norm.weight", {{"input_layernorm.weight", width}}},
      {"attention.qkv.weight",
       {{"self_attn.q_proj.weight", queries}, {"self_attn.k_proj.weight", keys}, {"self_attn.v_proj.weight", keys}}},
      {"attention.qkv.bias",
       {{"self_attn.q_proj.bias", queries}, {"self_attn.k_proj.bias", keys}, {"self_attn.v_proj.bias", keys}}},
      {"attention.q_norm.weight", {{"self_attn.q_norm.weight", head}}},
      {"attention.k_norm.weight", {{"self_attn.k_norm.weight", head}}},
      {"attention.out.weight", {{"self_attn.o_proj.weight", width}}},
      {"mlp.norm.weight", {{"post_attention_layernorm.weight", width}}},
      {"mlp.gate_up.weight", {{"mlp.gate_proj.weight", ffn}, {"mlp.up_proj.weight", ffn}}},
      {"mlp.down.weight", {{"mlp.down_proj.weight", width}}}};
}

FolderConfig read_llama(Keys& keys, const LlamaDialect& dialect) {
  FolderConfig config;
  keys.no_null({"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "max_position_embeddings", "hidden_act", "rms_norm_eps", "tie_word_embeddings"});
  note_dropout(keys, "attention_dropout", 0, config.dropout);
  check_activation(keys, "hidden_act", "silu", {"silu", "swish"});
  const MissingSizes& missing = dialect.missing;
  ModelConfig& model = config.model;
  model = {.family = dialect.family,
           .layers = keys.size("num_hidden_layers", 32),
           .width = keys.size("hidden_size", 4096),
           .heads = keys.size("num_attention_heads", 32),
           .ffn = keys.size("intermediate_size", missing.ffn),
           .vocab = keys.size("vocab_size", missing.vocab),
           .context = keys.size("max_position_embeddings", missing.context),
           .tied = keys.flag("tie_word_embeddings", false),
           .norm_eps = keys.small_number("rms_norm_eps", 1e-6)};
  // null is as many as heads.
  const bool is_missing = missing.kv_heads > 0 && !keys.has("num_key_value_heads");
  model.kv_heads = is_missing ? keys.size("num_key_value_heads", missing.kv_heads)
                              : keys.integer("num_key_value_heads", model.heads);
  read_head_dim(keys, dialect, model);
  read_window(keys, dialect.window, config);
  read_rope(keys, model, config.limits);
  return config;
}

OrderedJson write_llama(const ModelConfig& m) {
  OrderedJson json{{"vocab_size", m.vocab},
                   {"max_position_embeddings", m.context},
                   {"hidden_size", m.width},
                   {"intermediate_size", m.ffn},
                   {"num_hidden_layers", m.layers},
                   {"num_attention_heads", m.heads},
                   {"num_key_value_heads", m.kv_heads},
                   {"hidden_act", "silu"},
                   {"rms_norm_eps", shortest(m.norm_eps)},
                   {"rope_theta", shortest(m.rope_theta)},
                   {"rope_scaling", nullptr},
                   {"attention_dropout", 0.0}};
  if (const RopeScaling& s = m.rope_scaling; s != RopeScaling())
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", s.factor},
                            {"low_freq_factor", s.low_freq_factor},
                            {"high_freq_factor", s.high_freq_factor},
                            {"original_max_position_embeddings", static_cast<std::int64_t>(s.original_context)}};
  return json;
}

}  // namespace trireme::hf
