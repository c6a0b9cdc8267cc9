#include "models/hf/gpt2_folder.h"

#include "models/hf/config_parts.h"

namespace trireme::hf {
namespace {

// transformers takes either name of a size.
int size_by_either(Keys& keys, const char* key, const char* alias, int otherwise) {
  if (!keys.find(key) && keys.find(alias)) return keys.integer(alias, otherwise);
  const int size = keys.size(key, otherwise);
  keys.only({{alias, size}});
  return size;
}

}  // namespace

std::vector<TensorRule> gpt2_tensors(const ModelConfig& m) {
  const Elems width = m.width, ffn = m.ffn;
  return {{"attention.norm.weight", {{"ln_1.weight", width}}},
          {"attention.norm.bias", {{"ln_1.bias", width}}},
          {"attention.qkv.weight", {{"attn.c_attn.weight", 3 * width}}},
          {"attention.qkv.bias", {{"attn.c_attn.bias", 3 * width}}},
          {"attention.out.weight", {{"attn.c_proj.weight", width}}},
          {"attention.out.bias", {{"attn.c_proj.bias", width}}},
          {"mlp.norm.weight", {{"ln_2.weight", width}}},
          {"mlp.norm.bias", {{"ln_2.bias", width}}},
          {"mlp.up.weight", {{"mlp.c_fc.weight", ffn}}},
          {"mlp.up.bias", {{"mlp.c_fc.bias", ffn}}},
          {"mlp.down.weight", {{"mlp.c_proj.weight", width}}},
          {"mlp.down.bias", {{"mlp.c_proj.bias", width}}}};
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

OrderedJson write_gpt2(const ModelConfig& m) {
  return {{"vocab_size", m.vocab},
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

}  // namespace trireme::hf
