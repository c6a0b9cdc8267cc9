#include "models/hf/config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <utility>

#include "models/hf/json.h"

namespace trireme::hf {
namespace {

constexpr int no_default = -1;
constexpr int most_size = 1 << 26;  // so that no product of sizes leaves its type

/// A setting that we compute for one value only; absent (or null) means that value, too.
struct OnlyValue {
  const char* key;
  Json value;
};

/// Reads keys of one object. null is as good as absent.
class Keys {
 public:
  Keys(const Json& object, const std::string& where) : object_(object), where_(where) {}

  const Json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  int integer(const char* key, int otherwise = no_default) const {
    const Json* value = find(key);
    if (!value) {
      if (otherwise == no_default) refuse(fmt::format("{} is missing", key), "save the model with save_pretrained");
      return otherwise;
    }
    return static_cast<int>(whole_number(*value, most_size, ErrorKind::config, where_ + ": " + key));
  }
  /// NaN: no default.
  double number(const char* key, double otherwise) const {
    const Json* value = find(key);
    if (!value && std::isnan(otherwise)) refuse(fmt::format("{} is missing", key), "give it");
    if (!value) return otherwise;
    if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(key, *value, "expected a finite number");
    return value->get<double>();
  }
  float small_number(const char* key, double otherwise) const {
    const auto value = static_cast<float>(number(key, otherwise));
    if (!std::isfinite(value)) refuse(key, *find(key), "it must fit a 32-bit float");
    return value;
  }
  bool flag(const char* key, bool otherwise) const {
    const Json* value = find(key);
    if (value && !value->is_boolean()) refuse(key, *value, "expected true or false");
    return value ? value->get<bool>() : otherwise;
  }
  std::string text(const char* key, const char* otherwise) const {
    const Json* value = find(key);
    if (value && !value->is_string()) refuse(key, *value, "expected a text");
    return value ? value->get<std::string>() : otherwise;
  }
  void only(std::initializer_list<OnlyValue> settings) const {
    for (const OnlyValue& setting : settings)
      if (const Json* value = find(setting.key); value && *value != setting.value)
        refuse(setting.key, *value, fmt::format("models are computed here with {} alone", shown(setting.value)));
  }
  [[noreturn]] void refuse(const char* key, const Json& value, const std::string& what_to_do) const {
    refuse(fmt::format("{} = {}", key, shown(value)), what_to_do);
  }
  [[noreturn]] void refuse(const std::string& what, const std::string& what_to_do) const {
    throw Error(ErrorKind::config, fmt::format("{}: {}; {}", where_, what, what_to_do));
  }

 private:
  const Json& object_;
  const std::string& where_;
};

void check_architecture(const Keys& keys, const char* wanted) {
  const Json* architectures = keys.find("architectures");
  if (architectures && *architectures != Json::array({wanted}))
    keys.refuse("architectures", *architectures, fmt::format("{} is the one that is trained here", wanted));
  keys.only({{"quantization_config", nullptr}, {"is_encoder_decoder", false}, {"add_cross_attention", false},
             {"pruned_heads", Json::object()}});
}

// Dropout acts in training alone, so a folder may say it and nobody misses it: but the curve would be another.
void check_dropout(const Keys& keys, const char* key, double otherwise) {
  const double rate = keys.number(key, otherwise);
  if (rate != 0)
    keys.refuse(
        fmt::format("{} = {}{}", key, rate, keys.find(key) ? "" : " (what transformers takes where it is missing)"),
        fmt::format("training here has no dropout: set \"{}\": 0.0 in config.json", key));
}

ModelConfig read_gpt2(const Keys& keys) {
  check_architecture(keys, "GPT2LMHeadModel");
  for (const char* key : {"resid_pdrop", "embd_pdrop", "attn_pdrop"}) check_dropout(keys, key, 0.1);
  keys.only(
      {{"scale_attn_weights", true}, {"scale_attn_by_inverse_layer_idx", false}, {"reorder_and_upcast_attn", false}});
  const std::string activation = keys.text("activation_function", "gelu_new");
  // Both are the tanh form, which the kernel computes.
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    keys.refuse("activation_function", activation, "GELU in its tanh form is computed here: gelu_new");
  ModelConfig model{.family = Family::gpt2,
                    .layers = keys.integer("n_layer"),
                    .width = keys.integer("n_embd"),
                    .heads = keys.integer("n_head"),
                    .vocab = keys.integer("vocab_size"),
                    .context = keys.integer("n_positions"),
                    .tied = keys.flag("tie_word_embeddings", true),
                    .norm_eps = keys.small_number("layer_norm_epsilon", 1e-5)};
  // transformers takes either name of a size.
  keys.only({{"hidden_size", model.width}, {"num_hidden_layers", model.layers}, {"num_attention_heads", model.heads},
             {"max_position_embeddings", model.context}, {"n_ctx", model.context}});
  model.kv_heads = model.heads;
  model.ffn = keys.integer("n_inner", 4 * model.width);
  return model;
}

/// RoPE as one of the three places of config.json says it.
struct Rope {
  double theta = 10000;
  RopeScaling scaling;
  bool operator==(const Rope&) const = default;
};

// `table`: rope_scaling (transformers 4) or rope_parameters (5).
Rope read_rope_table(const Keys& keys, const char* key, double theta, const std::string& where) {
  const Json* table = keys.find(key);
  Rope rope{.theta = theta};
  if (!table) return rope;
  if (!table->is_object()) keys.refuse(key, *table, "expected an object");
  const std::string place = where + ": " + key;
  const Keys inner(*table, place);
  rope.theta = inner.number("rope_theta", theta);
  inner.only({{"partial_rotary_factor", 1.0}});
  const std::string type = inner.text("rope_type", inner.text("type", "default").c_str());
  if (type != inner.text("type", type.c_str())) inner.refuse("type", *inner.find("type"), "rope_type says another");
  if (type == "default") return rope;
  if (type != "llama3") inner.refuse("rope_type", type, "default and llama3 are computed here");
  const double missing = std::numeric_limits<double>::quiet_NaN();
  rope.scaling = {.factor = inner.number("factor", missing),
                  .low_freq_factor = inner.number("low_freq_factor", missing),
                  .high_freq_factor = inner.number("high_freq_factor", missing),
                  .original_context = static_cast<double>(inner.integer("original_max_position_embeddings"))};
  if (rope.scaling.factor == 1) rope.scaling = {};
  return rope;
}

void read_rope(const Keys& keys, const std::string& where, ModelConfig& model) {
  keys.only({{"partial_rotary_factor", 1.0}});
  const double theta = keys.number("rope_theta", Rope().theta);
  Rope rope = read_rope_table(keys, "rope_scaling", theta, where);
  if (keys.find("rope_parameters")) {
    const Rope other = read_rope_table(keys, "rope_parameters", theta, where);
    const bool contradicts =
        (keys.find("rope_scaling") && other != rope) || (keys.find("rope_theta") && other.theta != theta);
    if (contradicts)
      keys.refuse("rope_parameters", *keys.find("rope_parameters"),
                  "rope_theta or rope_scaling say something else: remove those");
    rope = other;
  }
  model.rope_theta = static_cast<float>(rope.theta);
  if (model.rope_theta != rope.theta)
    keys.refuse(fmt::format("rope_theta = {}", rope.theta), "it must fit a 32-bit float");
  model.rope_scaling = rope.scaling;
}

void check_full_attention(const Keys& keys) {
  keys.only({{"use_sliding_window", false}, {"use_mrope", false}});
  const Json* types = keys.find("layer_types");
  const bool full = !types || (types->is_array() && std::all_of(types->begin(), types->end(), [](const Json& type) {
                                 return type == "full_attention";
                               }));
  if (!full) keys.refuse("layer_types", *types, "every layer has \"full_attention\" here");
}

ModelConfig read_llama(const Keys& keys, const std::string& where, bool is_qwen2) {
  check_architecture(keys, is_qwen2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM");
  check_dropout(keys, "attention_dropout", 0);
  keys.only({{"hidden_act", "silu"}});
  if (is_qwen2) check_full_attention(keys);
  else keys.only({{"attention_bias", false}, {"mlp_bias", false}, {"pretraining_tp", 1}});
  ModelConfig model{.family = Family::llama,
                    .layers = keys.integer("num_hidden_layers"),
                    .width = keys.integer("hidden_size"),
                    .heads = keys.integer("num_attention_heads"),
                    .ffn = keys.integer("intermediate_size"),
                    .vocab = keys.integer("vocab_size"),
                    .context = keys.integer("max_position_embeddings"),
                    .tied = keys.flag("tie_word_embeddings", false),
                    .norm_eps = keys.small_number("rms_norm_eps", 1e-6),
                    .qkv_bias = is_qwen2};
  // Where it is missing transformers takes the heads for Llama, and 32 for Qwen2, which would be another model.
  model.kv_heads = is_qwen2 ? keys.integer("num_key_value_heads") : keys.integer("num_key_value_heads", model.heads);
  if (model.heads > 0 && keys.find("head_dim") && keys.integer("head_dim") != model.width / model.heads)
    keys.refuse(
        "head_dim", *keys.find("head_dim"),
        fmt::format("heads of hidden_size / num_attention_heads = {} are computed here", model.width / model.heads));
  read_rope(keys, where, model);
  return model;
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
    json["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", s.factor}, {"low_freq_factor", s.low_freq_factor},
                            {"high_freq_factor", s.high_freq_factor},
                            {"original_max_position_embeddings", static_cast<std::int64_t>(s.original_context)}};
  if (m.qkv_bias) json["use_sliding_window"] = false;
  else json["attention_bias"] = false, json["mlp_bias"] = false;
  return json;
}

}  // namespace

ModelConfig read_config(std::string_view text, const std::string& where) {
  const Json object = parse_object(text, ErrorKind::config, where);
  const Keys keys(object, where);
  const std::string type = keys.text("model_type", "");
  const bool is_gpt2 = type == "gpt2";
  if (!is_gpt2 && type != "llama" && type != "qwen2")
    keys.refuse(type.empty() ? "model_type is missing" : fmt::format("model_type = {}", shown(type)),
                "gpt2, llama and qwen2 are read");
  ModelConfig model = is_gpt2 ? read_gpt2(keys) : read_llama(keys, where, type == "qwen2");
  try {
    validate(model);
  } catch (const Error& error) {
    throw error.with_context(where);
  }
  return model;
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
  OrderedJson json = OrderedJson::parse(text);
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(*type);
  if (json.contains("torch_dtype")) json["torch_dtype"] = torch_name(*type);
  return json.dump(2) + "\n";
}

}  // namespace trireme::hf
