#pragma once
// What Llama and those like it have in common: RoPE, RMSNorm, SwiGLU, grouped key heads, a head tied or not.

#include "models/families/family.h"
#include "models/segments/attention.h"

namespace trireme {

/// Without biases and norms of heads, for a family to add.
AttentionForm llama_attention(const ModelConfig& config);

/// The segments of a family that differs from Llama in its attention alone.
Segments llama_segments(const ModelConfig& config, const AttentionForm& attention);

}  // namespace trireme
