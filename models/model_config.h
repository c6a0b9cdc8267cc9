#pragma once
// What a model is, as its configuration says it.

#include <optional>
#include <string>
#include <string_view>

#include "runtime/kernels/rope.h"

namespace trireme {

enum class Family { gpt2, llama, qwen2, qwen3, mistral };
inline constexpr Family families[] = {Family::gpt2, Family::llama, Family::qwen2, Family::qwen3, Family::mistral};

/// As it is called in model.family and in Hugging Face's model_type.
const char* name(Family family);
std::optional<Family> find_family(std::string_view text);
/// "gpt2, llama, qwen2, qwen3 and mistral".
std::string family_names(const char* before_last);

struct ModelConfig {
  Family family = Family::llama;
  int layers = 0, width = 0, heads = 0, kv_heads = 0, ffn = 0, vocab = 0, context = 0;
  int head_dim = 0;  // channels of a head; 0: width / heads
  bool tied = true;  // the head uses the token table
  float norm_eps = 1e-5f;
  float rope_theta = 10000.0f;  // not of GPT-2, as all that follows
  bool qkv_bias = false;        // Qwen2 is Llama with it
  RopeScaling rope_scaling;     // factor 1: none

  int head_size() const { return head_dim > 0 ? head_dim : heads > 0 ? width / heads : 0; }
};

/// Llama with a qkv bias is Qwen2.
Family family_of(const ModelConfig& config);

/// Errors: Error(config) that names the key of [model], its value and what to do: sizes below 1, width not divisible by
/// heads without a head_dim, heads by kv_heads, and what the family refuses: an odd head size with RoPE, a scaling of
/// RoPE that shortens or whose factors are out of order, fewer kv_heads than heads with GPT-2, a head_dim of its own
/// where the family has none.
void validate(const ModelConfig& config);

}  // namespace trireme
