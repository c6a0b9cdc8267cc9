#include "models/hf/config.h"

#include <algorithm>
#include <cctype>

#include "models/hf/keys.h"

namespace trireme::hf {
namespace {

// Parts of names that say another function than model_type does: a head for another task, or another family. Any other
// name is that of a wrapper or of a model without its head, and transformers does not ask for it.
constexpr const char* foreign_parts[] = {"forsequenceclassification",
                                         "fortokenclassification",
                                         "forquestionanswering",
                                         "formultiplechoice",
                                         "forconditionalgeneration",
                                         "mistral",
                                         "mixtral",
                                         "gemma",
                                         "qwen3",
                                         "moe"};

bool is_foreign(const Json& name) {
  if (!name.is_string()) return false;
  std::string lower = name.get<std::string>();
  for (char& letter : lower) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return std::any_of(std::begin(foreign_parts), std::end(foreign_parts),
                     [&](const char* part) { return lower.find(part) != std::string::npos; });
}

// Of all families. Pruned heads, cross attention and layers of their own have tensors that ours lack.
void check_common(const Keys& keys) {
  const Json* names = keys.find("architectures");
  if (names && (is_foreign(*names) || std::any_of(names->begin(), names->end(), is_foreign)))
    keys.refuse("architectures", *names, "another head or family; a language model of model_type is trained here");
  keys.no_null({"is_causal"});  // it would be false
  keys.only({{"quantization_config", nullptr},
             {"add_cross_attention", false},
             {"pruned_heads", Json::object()},
             {"per_layer_config", Json::object()},
             {"is_causal", true}});
}

void note_dropout(const Keys& keys, const char* key, double otherwise, std::string& list) {
  const double rate = keys.number(key, otherwise);
  if (rate < 0 || rate > 1) keys.refuse(key, *keys.find(key), "expected a rate from 0 to 1");
  if (rate != 0)
    list +=
        fmt::format("{}{} = {}{}", list.empty() ? "" : ", ", key, rate, keys.find(key) ? "" : " (as it is missing)");
}

// transformers takes either name of a size.
int size_by_either(Keys& keys, const char* key, const char* alias, int otherwise) {
  if (!keys.find(key) && keys.find(alias)) return keys.integer(alias, otherwise);
  const int size = keys.size(key, otherwise);
  keys.only({{alias, size}});
  return size;
}

void check_activation(const Keys& keys, const char* key, const char* otherwise,
                      std::initializer_list<const char*> computed) {
  const std::string name = keys.text(key, otherwise);
  if (std::find(computed.begin(), computed.end(), name) == computed.end())
    keys.refuse(key, name, fmt::format("{} are computed here", fmt::join(computed, ", ")));
}

FolderConfig read_gpt2(Keys& keys) {
  FolderConfig config;
  keys.no_null({"vocab_size", "n_layer", "num_hidden_layers", "n_embd", "hidden_size", "n_head", "num_attention_heads",
                "n_positions", "max_position_embeddings", "activation_function", "resid_pdrop", "embd_pdrop",
                "attn_pdrop", "layer_norm_epsilon", "scale_attn_weights", "scale_attn_by_inverse_layer_idx",
                "add_cross_attention", "tie_word_embeddings"});
  for (const char* key : {"resid_pdrop", "embd_pdrop", "attn_pdrop"}) note_dropout(keys, key, 0.1, config.dropout);
  keys.only({{"scale_attn_weights", true}});
  // All are the tanh form, which the kernel computes; the constants of gelu_fast are those of f32.
  check_activation(keys, "activation_function", "gelu_new",
                   {"gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"});
  ModelConfig& model = config.model;
  model = {.family = Family::gpt2,
           .layers = size_by_either(keys, "n_layer", "num_hidden_layers", 12),
           .width = size_by_either(keys, "n_embd", "hidden_size", 768),
           .heads = size_by_either(keys, "n_head", "num_attention_heads", 12),
           .vocab = keys.size("vocab_size", 50257),
           .context = size_by_either(keys, "n_positions", "max_position_embeddings", 1024),
           .tied = keys.flag("tie_word_embeddings", true),
           .norm_eps = keys.small_number("layer_norm_epsilon", 1e-5)};
  if (model.layers > 1) keys.only({{"scale_attn_by_inverse_layer_idx", false}});  // of one layer it divides by 1
  model.kv_heads = model.heads;
  model.ffn = keys.integer("n_inner", 4 * model.width);
  return config;
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

void read_window(const Keys& keys, FolderConfig& config) {
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

// `is_qwen2`: the keys whose defaults differ between the two.
FolderConfig read_llama(Keys& keys, bool is_qwen2) {
  FolderConfig config;
  keys.no_null({"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "max_position_embeddings", "hidden_act", "rms_norm_eps", "tie_word_embeddings"});
  if (is_qwen2)
    keys.no_null({"attention_dropout", "use_sliding_window", "max_window_layers"});
  else
    keys.no_null({"attention_bias", "mlp_bias"});
  note_dropout(keys, "attention_dropout", 0, config.dropout);
  check_activation(keys, "hidden_act", "silu", {"silu", "swish"});
  if (!is_qwen2) keys.only({{"attention_bias", false}, {"mlp_bias", false}});
  ModelConfig& model = config.model;
  model = {.family = Family::llama,
           .layers = keys.size("num_hidden_layers", 32),
           .width = keys.size("hidden_size", 4096),
           .heads = keys.size("num_attention_heads", 32),
           .ffn = keys.size("intermediate_size", is_qwen2 ? 22016 : 11008),
           .vocab = keys.size("vocab_size", is_qwen2 ? 151936 : 32000),
           .context = keys.size("max_position_embeddings", is_qwen2 ? 32768 : 2048),
           .tied = keys.flag("tie_word_embeddings", false),
           .norm_eps = keys.small_number("rms_norm_eps", 1e-6),
           .qkv_bias = is_qwen2};
  // null is as many as heads for both; missing it is 32 for Qwen2.
  const bool is_missing = is_qwen2 && !keys.has("num_key_value_heads");
  model.kv_heads = is_missing ? keys.size("num_key_value_heads", 32) : keys.integer("num_key_value_heads", model.heads);
  if (model.heads > 0 && keys.integer("head_dim", model.width / model.heads) != model.width / model.heads)
    keys.refuse(
        "head_dim", *keys.find("head_dim"),
        fmt::format("heads of hidden_size / num_attention_heads = {} are computed here", model.width / model.heads));
  if (is_qwen2) read_window(keys, config);
  read_rope(keys, model, config.limits);
  return config;
}

double shortest(float value) { return std::stod(fmt::format("{}", value)); }

using OrderedJson = nlohmann::ordered_json;

OrderedJson gpt2_json(const ModelConfig& m) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"vocab_size", m.vocab},
          {"n_positions", m.context},
          {"n_embd", m.width},
          {"n_layer", m.layers},
          {"n_head", m.heads},
          {"n_inner", m.ffn},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", shortest(m.norm_eps)},
          {"resid_pdrop", 0.0},
          {"embd_pdrop", 0.0},
          {"attn_pdrop", 0.0}};
}

OrderedJson llama_json(const ModelConfig& m) {
  OrderedJson json{{"architectures", {m.qkv_bias ? "Qwen2ForCausalLM" : "LlamaForCausalLM"}},
                   {"model_type", m.qkv_bias ? "qwen2" : "llama"},
                   {"vocab_size", m.vocab},
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
  if (m.qkv_bias)
    json["use_sliding_window"] = false;
  else
    json["attention_bias"] = false, json["mlp_bias"] = false;
  return json;
}

}  // namespace

FolderConfig read_config(std::string_view text, const std::string& where) {
  const Json object = parse_object(quote_special_numbers(text), ErrorKind::config, where);
  Keys keys(object, where);
  const std::string type = keys.text("model_type", "");
  const bool is_gpt2 = type == "gpt2";
  if (!is_gpt2 && type != "llama" && type != "qwen2")
    keys.refuse(type.empty() ? "model_type is missing" : fmt::format("model_type = {}", shown(type)),
                "gpt2, llama and qwen2 are read");
  check_common(keys);
  FolderConfig config = is_gpt2 ? read_gpt2(keys) : read_llama(keys, type == "qwen2");
  config.missing = keys.missing();
  try {
    validate(config.model);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}{}", where, error.what(), config.missing));
  }
  return config;
}

void check_sequence(const FolderConfig& config, int tokens, const std::string& where) {
  for (const SequenceLimit& limit : config.limits)
    require(tokens <= limit.tokens, ErrorKind::config,
            "{}: {} acts on sequences of more than {} tokens, which is not computed here, and train.sequence = {}; use "
            "shorter sequences",
            where, limit.what, limit.tokens, tokens);
}

std::string write_config(const ModelConfig& model, Storage type) {
  OrderedJson json = model.family == Family::gpt2 ? gpt2_json(model) : llama_json(model);
  json["tie_word_embeddings"] = model.tied;
  // The tokens of a model from nowhere have no meaning yet; transformers' defaults would be those of other models.
  for (const char* key : {"bos_token_id", "eos_token_id"}) json[key] = nullptr;
  json["torch_dtype"] = torch_name(type);
  return json.dump(2) + "\n";
}

std::string rewrite_config(std::string_view text, std::optional<Storage> type) {
  if (!type) return std::string(text);
  OrderedJson json = OrderedJson::parse(quote_special_numbers(text));
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(*type);
  if (json.contains("torch_dtype")) json["torch_dtype"] = torch_name(*type);
  return unquote_special_numbers(json.dump(2)) + "\n";
}

}  // namespace trireme::hf
