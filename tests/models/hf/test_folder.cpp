#include "tests/models/hf/test_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/base/random.h"

namespace trireme::test {
namespace {

struct Named {
  std::string name;
  std::vector<Elems> shape;
};

std::vector<Named> gpt2_names(const ModelConfig& m, const std::string& prefix) {
  const Elems C = m.width, F = m.ffn;
  std::vector<Named> list = {{prefix + "wte.weight", {m.vocab, C}}, {prefix + "wpe.weight", {m.context, C}}};
  for (int i = 0; i < m.layers; ++i) {
    const std::string h = fmt::format("{}h.{}.", prefix, i);
    for (const char* norm : {"ln_1.", "ln_2."})
      list.push_back({h + norm + "weight", {C}}), list.push_back({h + norm + "bias", {C}});
    list.push_back({h + "attn.c_attn.weight", {C, 3 * C}});
    list.push_back({h + "attn.c_attn.bias", {3 * C}});
    list.push_back({h + "attn.c_proj.weight", {C, C}});
    list.push_back({h + "attn.c_proj.bias", {C}});
    list.push_back({h + "mlp.c_fc.weight", {C, F}});
    list.push_back({h + "mlp.c_fc.bias", {F}});
    list.push_back({h + "mlp.c_proj.weight", {F, C}});
    list.push_back({h + "mlp.c_proj.bias", {C}});
  }
  list.push_back({prefix + "ln_f.weight", {C}});
  list.push_back({prefix + "ln_f.bias", {C}});
  return list;
}

std::vector<Named> llama_names(const ModelConfig& m, const std::string& prefix) {
  const Elems C = m.width, F = m.ffn, D = m.head_size(), Q = D * m.heads, K = D * m.kv_heads;
  std::vector<Named> list = {{prefix + "embed_tokens.weight", {m.vocab, C}}};
  for (int i = 0; i < m.layers; ++i) {
    const std::string l = fmt::format("{}layers.{}.", prefix, i);
    list.push_back({l + "input_layernorm.weight", {C}});
    list.push_back({l + "mlp.down_proj.weight", {C, F}});
    list.push_back({l + "mlp.gate_proj.weight", {F, C}});
    list.push_back({l + "mlp.up_proj.weight", {F, C}});
    list.push_back({l + "post_attention_layernorm.weight", {C}});
    const std::pair<const char*, Elems> projections[] = {{"q_proj", Q}, {"k_proj", K}, {"v_proj", K}};
    for (const auto& [projection, rows] : projections) {
      if (m.qkv_bias) list.push_back({l + "self_attn." + projection + ".bias", {rows}});
      list.push_back({l + "self_attn." + projection + ".weight", {rows, C}});
    }
    list.push_back({l + "self_attn.o_proj.weight", {C, Q}});
    if (m.family == Family::qwen3)
      for (const char* norm : {"q_norm", "k_norm"}) list.push_back({l + "self_attn." + norm + ".weight", {D}});
  }
  list.push_back({prefix + "norm.weight", {C}});
  return list;
}

std::string random_bytes(const std::string& name, Elems elems, hf::Storage type) {
  const Random random(11, name);
  std::string bytes;
  for (Elems i = 0; i < elems; ++i) {
    std::uint64_t bits = random.below(static_cast<std::uint64_t>(i), std::uint64_t{1} << 32);
    // Exponents near 2^-7, and now and then a denormal.
    const bool denormal = bits % 16 == 0;
    switch (type) {
      case hf::Storage::f32: bits = (bits & 0x81ffffff) | (denormal ? 0 : 0x3a000000); break;
      case hf::Storage::bf16: bits = (bits & 0x81ff) | (denormal ? 0 : 0x3a00); break;
      case hf::Storage::f16: bits = (bits & 0x8fff) | (denormal ? 0 : 0x1000); break;
    }
    if (denormal) bits &= type == hf::Storage::f32 ? 0x807fffff : type == hf::Storage::bf16 ? 0x807f : 0x83ff;
    for (Bytes b = 0; b < hf::size_bytes(type); ++b) bytes += static_cast<char>(bits >> (8 * b) & 0xff);
  }
  return bytes;
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::string& name) : path(name) {
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path); }

void write_text(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_text(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string safetensors_text(const std::string& header, const std::string& data) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return text + header + data;
}

std::string safetensors_text(const std::vector<RawTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})", data;
  for (const RawTensor& tensor : tensors) {
    header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.name, tensor.type,
                          fmt::join(tensor.shape, ","), data.size(), data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  return safetensors_text(header + "}", data);
}

ModelConfig folder_model(const std::string& kind) {
  ModelConfig model{.family = kind.starts_with("gpt2") ? Family::gpt2 : Family::llama,
                    .layers = 2,
                    .width = 36,
                    .heads = 6,
                    .kv_heads = 6,
                    .ffn = 50,
                    .vocab = 131,
                    .context = 24,
                    .tied = kind == "gpt2" || kind == "qwen2",
                    .norm_eps = 1e-5f};
  if (kind == "qwen2") model.family = Family::qwen2;
  if (kind == "qwen3") model.family = Family::qwen3, model.head_dim = 14;
  if (kind == "mistral") model.family = Family::mistral, model.head_dim = 4;
  if (model.family != Family::gpt2) model.kv_heads = 2;
  if (kind == "llama")
    model.rope_scaling = {.factor = 4, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 32};
  if (kind == "qwen2") model.qkv_bias = true, model.rope_theta = 1000000.0f;
  return model;
}

std::vector<RawTensor> folder_tensors(const ModelConfig& model, hf::Storage type, const std::string& prefix) {
  std::vector<Named> names = model.family == Family::gpt2 ? gpt2_names(model, prefix) : llama_names(model, prefix);
  if (!model.tied) names.push_back({"lm_head.weight", {model.vocab, model.width}});
  std::vector<RawTensor> tensors;
  for (const Named& named : names) {
    Elems elems = 1;
    for (Elems size : named.shape) elems *= size;
    tensors.push_back({named.name, hf::safetensors_name(type), named.shape, random_bytes(named.name, elems, type)});
  }
  return tensors;
}

std::string folder_config(const ModelConfig& m, hf::Storage type) {
  const std::string ends = fmt::format(
      R"("tie_word_embeddings": {}, "vocab_size": {}, "dtype": "{}", "use_cache": true, "transformers_version": "5.0.0"}})",
      m.tied, m.vocab, hf::torch_name(type));
  if (m.family == Family::gpt2)
    return fmt::format(
               R"({{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_positions": {}, "n_embd": {}, "n_layer": {},
      "n_head": {}, "n_inner": {}, "activation_function": "gelu_new", "layer_norm_epsilon": {}, "resid_pdrop": 0.0, "embd_pdrop": 0,
      "attn_pdrop": 0.0, "bos_token_id": 5, )",
               m.context, m.width, m.layers, m.heads, m.ffn, m.norm_eps) +
           ends;
  std::string rope = fmt::format(R"("rope_theta": {}, "rope_type": "default")", m.rope_theta);
  if (m.rope_scaling != RopeScaling())
    rope = fmt::format(
        R"("rope_theta": {}, "rope_type": "llama3", "factor": {}, "low_freq_factor": {}, "high_freq_factor": {},
      "original_max_position_embeddings": {})",
        m.rope_theta, m.rope_scaling.factor, m.rope_scaling.low_freq_factor, m.rope_scaling.high_freq_factor,
        static_cast<int>(m.rope_scaling.original_context));
  const char* architecture = m.family == Family::mistral ? "MistralForCausalLM"
                             : m.family == Family::qwen3 ? "Qwen3ForCausalLM"
                             : m.family == Family::qwen2 ? "Qwen2ForCausalLM"
                                                         : "LlamaForCausalLM";
  std::string text = fmt::format(
      R"({{"architectures": ["{}"], "model_type": "{}", "max_position_embeddings": {}, "hidden_size": {},
      "intermediate_size": {}, "num_hidden_layers": {}, "num_attention_heads": {}, "num_key_value_heads": {},
      "hidden_act": "silu", "rms_norm_eps": {}, "rope_parameters": {{{}}}, "attention_dropout": 0.0, )",
      architecture, name(m.family), m.context, m.width, m.ffn, m.layers, m.heads, m.kv_heads, m.norm_eps, rope);
  if (m.head_dim > 0) text += fmt::format(R"("head_dim": {}, "sliding_window": null, )", m.head_dim);
  return text + ends;
}

void write_folder(const std::string& path, const ModelConfig& model, hf::Storage type, int files) {
  write_text(path + "/config.json", folder_config(model, type));
  const std::vector<RawTensor> tensors =
      folder_tensors(model, type, model.family == Family::gpt2 ? "transformer." : "model.");
  if (files == 1) return write_text(path + "/model.safetensors", safetensors_text(tensors));
  std::string map;
  for (int f = 0; f < files; ++f) {
    std::vector<RawTensor> own;
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", f + 1, files);
    for (std::size_t i = static_cast<std::size_t>(f); i < tensors.size(); i += static_cast<std::size_t>(files)) {
      own.push_back(tensors[i]);
      map += fmt::format(R"({}"{}": "{}")", map.empty() ? "" : ", ", tensors[i].name, name);
    }
    write_text(path + "/" + name, safetensors_text(own));
  }
  write_text(path + "/model.safetensors.index.json",
             fmt::format(R"({{"metadata": {{"total_size": 1}}, "weight_map": {{{}}}}})", map));
}

}  // namespace trireme::test
