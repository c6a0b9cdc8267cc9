#pragma once
// GPT-2 as units: learned positions, LayerNorm, biases, GELU, head tied to the token embedding.

#include "models/describe.h"
#include "models/shapes.h"

namespace trireme::gpt {

/// Tensors of the embedding unit.
enum EmbeddingTensor { token_table, position_table };
/// Tensors of a block, in layout order.
enum BlockTensor {
  attention_norm_gain, attention_norm_bias, qkv_weight, qkv_bias, attention_out_weight, attention_out_bias,
  mlp_norm_gain, mlp_norm_bias, up_weight, up_bias, down_weight, down_bias
};

std::vector<UnitSpec> units(const ModelConfig& config, const MicrobatchShape& shape);

}  // namespace trireme::gpt
