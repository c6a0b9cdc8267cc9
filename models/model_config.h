#pragma once
// What a model is, as its configuration says it.

#include "runtime/kernels/rope.h"

namespace trireme {

enum class Family { gpt2, llama };

const char* name(Family family);

struct ModelConfig {
  Family family = Family::llama;
  int layers = 0, width = 0, heads = 0, kv_heads = 0, ffn = 0, vocab = 0, context = 0;
  bool tied = true;             // the head uses the token table
  float norm_eps = 1e-5f;
  float rope_theta = 10000.0f;  // Llama only, as all that follows
  bool qkv_bias = false;        // Qwen2 is Llama with it
  RopeScaling rope_scaling;     // factor 1: none
};

/// Errors: Error(config) that names the key of [model], its value and what to do: sizes below 1, width not divisible by
/// heads, heads by kv_heads, an odd head size with RoPE, a
/// scaling of RoPE that shortens or whose factors are out of order, fewer kv_heads than heads with GPT-2.
void validate(const ModelConfig& config);

}  // namespace trireme
