#pragma once
// Llama as units: RoPE, RMSNorm, SwiGLU, grouped key and value heads, head tied or not.

#include "models/describe.h"
#include "models/shapes.h"

namespace trireme::llama {

/// Tensors of the embedding unit.
enum EmbeddingTensor { token_table };
/// Tensors of a block, in layout order. qkv holds the rows of q, k, v; gate_up those of gate, up.
enum BlockTensor {
  attention_norm_gain, qkv_weight, attention_out_weight, mlp_norm_gain, gate_up_weight, down_weight
};

std::vector<UnitSpec> units(const ModelConfig& config, const MicrobatchShape& shape);

}  // namespace trireme::llama
