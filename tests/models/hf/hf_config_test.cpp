#include "models/hf/config.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "tests/models/hf/test_folder.h"

using namespace trireme;
using namespace trireme::test;
using Catch::Contains;
using Json = nlohmann::json;

namespace {

bool same(const ModelConfig& a, const ModelConfig& b) {
  return a.family == b.family && a.layers == b.layers && a.width == b.width && a.heads == b.heads &&
         a.kv_heads == b.kv_heads && a.ffn == b.ffn && a.vocab == b.vocab && a.context == b.context &&
         a.tied == b.tied && a.norm_eps == b.norm_eps && a.rope_theta == b.rope_theta && a.qkv_bias == b.qkv_bias &&
         a.head_size() == b.head_size() && a.rope_scaling == b.rope_scaling;
}

Json config_of(const std::string& kind) { return Json::parse(folder_config(folder_model(kind), hf::Storage::f32)); }

std::string message_of(const std::string& text) {
  try {
    hf::read_config(text, "DIR/config.json");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK_THAT(error.what(), Catch::StartsWith("DIR/config.json: "));
    return error.what();
  }
  return "no error";
}

/// What the config of a kind is told with one key set, or taken away (null).
std::string with(const std::string& kind, const std::string& key, const Json& value) {
  Json config = config_of(kind);
  if (value.is_null())
    config.erase(key);
  else
    config[key] = value;
  return message_of(config.dump());
}

}  // namespace

TEST_CASE("hf config: every kind of model is read as it was written, by transformers and by us") {
  for (const char* kind : folder_kinds) {
    const ModelConfig model = folder_model(kind);
    INFO(kind);
    CHECK(same(hf::read_config(folder_config(model, hf::Storage::f32), "x").model, model));
    CHECK(same(hf::read_config(hf::write_config(model, hf::Storage::bf16), "x").model, model));
  }
}

TEST_CASE("hf config: what is left out has transformers' defaults, by type of model") {
  Json gpt2 = config_of("gpt2"), llama = config_of("llama"), qwen2 = config_of("qwen2");
  for (const char* key : {"n_inner", "activation_function", "layer_norm_epsilon", "tie_word_embeddings"})
    gpt2.erase(key);
  ModelConfig model = hf::read_config(gpt2.dump(), "x").model;
  CHECK((model.ffn == 4 * model.width && model.norm_eps == 1e-5f && model.tied));
  for (const char* key :
       {"num_key_value_heads", "hidden_act", "rms_norm_eps", "tie_word_embeddings", "rope_parameters"})
    llama.erase(key);
  model = hf::read_config(llama.dump(), "x").model;
  CHECK((model.kv_heads == model.heads && model.norm_eps == 1e-6f && !model.tied && model.rope_theta == 10000 &&
         model.rope_scaling == RopeScaling()));
  qwen2.erase("tie_word_embeddings");
  CHECK_FALSE(hf::read_config(qwen2.dump(), "x").model.tied);
}

TEST_CASE("hf config: RoPE is read from each place where transformers 4 and 5 put it, and contradictions are refused") {
  const RopeScaling scaling = folder_model("llama").rope_scaling;
  Json config = config_of("llama"), table = config["rope_parameters"];
  const auto read = [&] { return hf::read_config(config.dump(), "x").model; };
  config["rope_theta"] = 10000;
  CHECK(read().rope_scaling == scaling);
  config["rope_theta"] = 500000.0;
  CHECK_THAT(message_of(config.dump()), Contains("rope_parameters"));
  config.erase("rope_parameters");
  CHECK((read().rope_theta == 500000.0f && read().rope_scaling == RopeScaling()));
  table.erase("rope_theta");
  config["rope_scaling"] = table;
  CHECK((read().rope_theta == 500000.0f && read().rope_scaling == scaling));
  config["rope_scaling"]["type"] = "llama3";
  CHECK(read().rope_scaling == scaling);
  config["rope_scaling"]["type"] = "linear";
  CHECK_THAT(message_of(config.dump()), Contains("type = \"linear\""));
  config["rope_scaling"].erase("rope_type");
  CHECK_THAT(message_of(config.dump()),
             Contains("factor = 4") && Contains("rope_type linear is computed here with factor 1 alone"));
  config["rope_scaling"]["type"] = "ntk";
  CHECK_THAT(message_of(config.dump()), Contains("\"ntk\"") && Contains("default and llama3"));
  config["rope_scaling"] = table;
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"}) {
    config["rope_scaling"].erase(key);
    CHECK_THAT(message_of(config.dump()), Contains(fmt::format("{} is missing", key)));
    config["rope_scaling"] = table;
  }
  config["rope_scaling"].erase("original_max_position_embeddings");
  CHECK(read().rope_scaling.original_context == 24);
  config["original_max_position_embeddings"] = 16;  // beside the table it counts more
  CHECK(read().rope_scaling.original_context == 16);
  config.erase("original_max_position_embeddings");
  config["rope_scaling"] = table;
  config["rope_scaling"]["factor"] = 0.5;
  CHECK_THAT(message_of(config.dump()), Contains("factor = 0.5"));
  config["rope_scaling"] = table;
  config["rope_scaling"]["partial_rotary_factor"] = 0.5;
  CHECK_THAT(message_of(config.dump()), Contains("partial_rotary_factor"));
  config["rope_scaling"] = {{"type", "default"}};
  CHECK(read().rope_scaling == RopeScaling());
  config["rope_scaling"] = nullptr;
  CHECK(read().rope_scaling == RopeScaling());
}

TEST_CASE("hf config: a setting that is not computed here is refused by its name, with what to do") {
  const std::tuple<const char*, const char*, Json> refused[] = {
      {"gpt2", "activation_function", "gelu"},
      {"gpt2", "scale_attn_weights", false},
      {"gpt2", "scale_attn_by_inverse_layer_idx", true},
      {"gpt2", "add_cross_attention", true},
      {"gpt2", "hidden_size", 48},
      {"gpt2", "architectures", {"GPT2ForSequenceClassification"}},
      {"llama", "hidden_act", "gelu"},
      {"llama", "attention_bias", true},
      {"llama", "mlp_bias", true},
      {"llama", "is_causal", false},
      {"llama", "head_dim", 12},
      {"llama", "partial_rotary_factor", 0.5},
      {"llama", "quantization_config", {{"bits", 4}}},
      {"llama", "architectures", {"MistralForCausalLM"}},
      {"llama", "pruned_heads", {{"0", {1}}}},
      {"qwen2", "per_layer_config", {{"0", {{"head_dim", 3}}}}},
      {"qwen2", "layer_types", {"full_attention", "sliding_attention"}},
      {"qwen2", "num_key_value_heads", nullptr},
      {"qwen3", "attention_bias", true},
      {"qwen3", "head_dim", 15},
      {"qwen3", "head_dim", 0},
      {"qwen3", "head_dim", 1 << 26},
      {"qwen3", "architectures", {"Qwen3MoeForCausalLM"}},
      {"mistral", "architectures", {"Mistral3ForConditionalGeneration"}},
      {"mistral", "architectures", {"Qwen3ForCausalLM"}}};
  for (const auto& [kind, key, value] : refused) CHECK_THAT(with(kind, key, value), Contains(key));
  CHECK_THAT(with("llama", "model_type", "gemma"),
             Contains("model_type = \"gemma\"") && Contains("gpt2, llama, qwen2, qwen3 and mistral are read"));
  CHECK_THAT(with("llama", "model_type", nullptr), Contains("model_type is missing"));
  CHECK(with("gpt2", "activation_function", "gelu_pytorch_tanh") == "no error");
  CHECK(with("llama", "hidden_act", "swish") == "no error");
  CHECK(with("llama", "pretraining_tp", 2) == "no error");
  CHECK(with("gpt2", "reorder_and_upcast_attn", true) == "no error");
  CHECK(with("qwen2", "sliding_window", 4096) == "no error");
  CHECK(with("qwen2", "use_sliding_window", true) == "no error");  // of layers from 28 on
  CHECK(with("qwen2", "layer_types", {"full_attention", "full_attention"}) == "no error");
  CHECK(with("llama", "head_dim", 6) == "no error");
  CHECK(with("mistral", "head_dim", 12) == "no error");
  CHECK(with("mistral", "architectures", {"MistralForCausalLM"}) == "no error");
  CHECK(with("qwen3", "architectures", {"Qwen3ForCausalLM"}) == "no error");
}

TEST_CASE("hf config: wrong types, missing keys, absurd sizes and broken JSON are refused with the key") {
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
                          "max_position_embeddings"})
    for (const Json& value : {Json("64"), Json(-1), Json(6.5), Json(4294967296LL), Json::array(), Json(true)})
      CHECK_THAT(with("llama", key, value), Contains(key));
  CHECK_THAT(with("llama", "vocab_size", 67108865), Contains("from 0 to 67108864"));
  CHECK_THAT(with("llama", "hidden_size", 0), Contains("model.width = 0"));
  CHECK_THAT(with("llama", "num_attention_heads", 7), Contains("not divisible"));
  CHECK_THAT(with("llama", "num_attention_heads", 0), Contains("model.heads = 0"));
  CHECK_THAT(with("llama", "num_key_value_heads", 4), Contains("model.kv_heads"));
  CHECK_THAT(with("llama", "tie_word_embeddings", 1), Contains("expected true or false"));
  CHECK_THAT(with("llama", "rms_norm_eps", "small"), Contains("rms_norm_eps"));
  CHECK_THAT(with("llama", "rms_norm_eps", 0), Contains("norm_eps"));
  CHECK_THAT(with("llama", "rms_norm_eps", 1e300), Contains("32-bit float"));
  CHECK_THAT(with("llama", "rope_parameters", 3), Contains("expected an object"));
  CHECK_THAT(with("gpt2", "n_inner", "big"), Contains("n_inner"));
  for (const char* text :
       {"", "{", "[]", "null", "{\"model_type\":\"llama\",\"model_type\":\"gpt2\"}", "{\"model_type\":7}"})
    CHECK(message_of(text) != "no error");
}

TEST_CASE("hf config: with another type of tensors all other keys of a config stay as they were") {
  const std::string text = folder_config(folder_model("llama"), hf::Storage::f32);
  CHECK(hf::rewrite_config(text, {}) == text);
  Json wanted = Json::parse(text);
  wanted["dtype"] = "bfloat16";
  CHECK(Json::parse(hf::rewrite_config(text, hf::Storage::bf16)) == wanted);
  CHECK(Json::parse(hf::rewrite_config(R"({"torch_dtype":"float32"})", hf::Storage::f16)) ==
        Json{{"torch_dtype", "float16"}});
}

TEST_CASE("hf config: dropout is told, all keys at once, also where a missing key means it") {
  const auto dropout = [](const std::string& kind, const Json& patch) {
    Json config = config_of(kind);
    config.merge_patch(patch);
    return hf::read_config(config.dump(), "x").dropout;
  };
  CHECK(dropout("gpt2", Json::object()) == "");
  CHECK(dropout("gpt2", {{"resid_pdrop", 0.1}, {"embd_pdrop", 0.25}, {"attn_pdrop", 0.1}}) ==
        "resid_pdrop = 0.1, embd_pdrop = 0.25, attn_pdrop = 0.1");
  CHECK(dropout("gpt2", {{"resid_pdrop", nullptr}, {"attn_pdrop", nullptr}}) ==
        "resid_pdrop = 0.1 (as it is missing), attn_pdrop = 0.1 (as it is missing)");
  CHECK(dropout("llama", {{"attention_dropout", 0.1}}) == "attention_dropout = 0.1");
  CHECK(dropout("qwen2", {{"attention_dropout", nullptr}}) == "");
  CHECK_THAT(with("qwen2", "attention_dropout", 1.5), Contains("attention_dropout = 1.5") && Contains("from 0 to 1"));
}

TEST_CASE("hf config: a missing size has transformers' default, and an error that may come of it names the key") {
  Json gpt2{{"model_type", "gpt2"}}, llama{{"model_type", "llama"}}, qwen2{{"model_type", "qwen2"}};
  ModelConfig model = hf::read_config(gpt2.dump(), "x").model;
  CHECK(
      (model.layers == 12 && model.width == 768 && model.heads == 12 && model.vocab == 50257 && model.context == 1024));
  CHECK((model.ffn == 3072 && model.tied && model.norm_eps == 1e-5f));
  model = hf::read_config(llama.dump(), "x").model;
  CHECK((model.layers == 32 && model.width == 4096 && model.heads == 32 && model.kv_heads == 32 && model.ffn == 11008));
  CHECK((model.vocab == 32000 && model.context == 2048 && !model.tied && model.rope_theta == 10000));
  model = hf::read_config(qwen2.dump(), "x").model;
  CHECK((model.layers == 32 && model.width == 4096 && model.kv_heads == 32 && model.ffn == 22016 &&
         model.vocab == 151936));
  CHECK((model.context == 32768 && !model.tied && model.qkv_bias));
  const Json qwen3{{"model_type", "qwen3"}}, mistral{{"model_type", "mistral"}};
  model = hf::read_config(qwen3.dump(), "x").model;
  CHECK((model.family == Family::qwen3 && model.head_size() == 128 && model.kv_heads == 32 && model.ffn == 22016));
  CHECK((model.vocab == 151936 && model.context == 32768 && !model.tied && !model.qkv_bias));
  model = hf::read_config(mistral.dump(), "x").model;
  CHECK((model.family == Family::mistral && model.head_size() == 128 && model.kv_heads == 8 && model.ffn == 14336));
  CHECK((model.vocab == 32000 && model.context == 131072 && !model.tied && model.norm_eps == 1e-6f));
  CHECK_THAT(with("llama", "hidden_size", nullptr),
             Contains("model.width = 4096") && Contains("hidden_size is missing, for which transformers takes 4096"));
  CHECK_THAT(with("gpt2", "n_embd", nullptr), Contains("no error"));
  CHECK_THAT(hf::read_config(R"({"model_type": "gpt2"})", "x").missing,
             Contains("n_embd is missing") && Contains("n_positions is missing"));
}

TEST_CASE("hf config: whole numbers with a point and numbers that only Python's json writes are read, and stay") {
  Json config = config_of("llama");
  config["hidden_size"] = 36.0, config["max_position_embeddings"] = 24.0;
  CHECK(same(hf::read_config(config.dump(), "x").model, folder_model("llama")));
  CHECK_THAT(with("llama", "hidden_size", 36.5), Contains("hidden_size = 36.5"));
  CHECK_THAT(with("llama", "hidden_size", 1e18), Contains("hidden_size = 1e+18"));
  std::string text = folder_config(folder_model("qwen2"), hf::Storage::f32);
  for (const char* number : {"NaN", "Infinity", "-Infinity"}) {
    const std::string with_number =
        fmt::format(R"({{"a": [{0}, "{0} \"", {{"b\\": {0}}}], {1})", number, text.substr(1));
    CHECK(same(hf::read_config(with_number, "x").model, folder_model("qwen2")));
    const std::string rewritten = hf::rewrite_config(with_number, hf::Storage::bf16);
    CHECK_THAT(rewritten,
               Contains(fmt::format("    {0},\n    \"{0} \\\"\"", number)) && Contains("\"dtype\": \"bfloat16\""));
    CHECK(same(hf::read_config(rewritten, "x").model, folder_model("qwen2")));
    CHECK_THAT(message_of(fmt::format(R"({{"rms_norm_eps": {}, {})", number, text.substr(1))),
               Contains("rms_norm_eps"));
    CHECK_THAT(message_of(fmt::format(R"({{"hidden_size": {}, {})", number, text.substr(1))), Contains("hidden_size"));
    CHECK_THAT(message_of(fmt::format("{{\"model_type\": \"llama\", \"rope_theta\": {}}}", number)),
               Contains(fmt::format("rope_theta = {}", number)));
  }
  for (const char* broken : {"{\"a\": Infinit}", "{\"a\": NaNs}", "{\"a\": +Infinity}", "{NaN: 1}x", "{\"a\": \"NaN}"})
    CHECK(message_of(broken) != "no error");
}

TEST_CASE("hf config: what acts on longer sequences alone is refused for those") {
  const auto limit = [](const std::string& kind, const Json& patch, int tokens) -> std::string {
    Json config = config_of(kind);
    config.merge_patch(patch);
    try {
      check_sequence(hf::read_config(config.dump(), "x"), tokens, "DIR/config.json");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      return error.what();
    }
    return "no error";
  };
  const Json window{{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 1}};
  CHECK(limit("qwen2", window, 8) == "no error");
  CHECK_THAT(limit("qwen2", window, 9),
             Contains("sliding_window = 8") && Contains("train.sequence = 9") && Catch::StartsWith("DIR/config.json"));
  CHECK(limit("qwen2", {{"use_sliding_window", true}, {"sliding_window", 0}, {"max_window_layers", 2}}, 24) ==
        "no error");
  const Json types{
      {"use_sliding_window", true}, {"sliding_window", 8}, {"layer_types", {"sliding_attention", "full_attention"}}};
  CHECK(limit("qwen2", types, 8) == "no error");
  CHECK_THAT(limit("qwen2", types, 9), Contains("sliding_window = 8"));
  CHECK(limit("qwen3", window, 8) == "no error");
  CHECK_THAT(limit("qwen3", window, 9), Contains("sliding_window = 8"));
  CHECK(limit("mistral", Json::object(), 24) == "no error");  // null, as in the folder
  CHECK(limit("mistral", {{"sliding_window", 8}}, 8) == "no error");
  CHECK_THAT(limit("mistral", {{"sliding_window", 8}}, 9),
             Contains("sliding_window = 8 acts on sequences of more than 8 tokens") && Contains("train.sequence = 9"));
  const Json longrope{{"rope_parameters",
                       {{"rope_type", "longrope"},
                        {"short_factor", {1, 1, 1}},
                        {"long_factor", {2, 3, 4}},
                        {"original_max_position_embeddings", 16},
                        {"attention_factor", 1},
                        {"low_freq_factor", nullptr},
                        {"high_freq_factor", nullptr},
                        {"factor", nullptr}}}};
  CHECK(limit("llama", longrope, 16) == "no error");
  CHECK_THAT(limit("llama", longrope, 17), Contains("original_max_position_embeddings = 16"));
}
