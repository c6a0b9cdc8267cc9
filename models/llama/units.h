#pragma once
// Llama as units: RoPE, RMSNorm, SwiGLU, grouped key and value heads, head tied or not.

#include "models/describe.h"
#include "models/shapes.h"

namespace trireme::llama {

/// Tensors of the embedding unit.
enum EmbeddingTensor { token_table };
/// Numbers of a block's tensors, in layout order. qkv holds the rows of q, k, v; gate_up those of gate, up. Only models with
/// a qkv bias have that tensor.
struct BlockTensors {
  bool has_qkv_bias;
  int attention_norm_gain = 0, qkv_weight = 1, qkv_bias = 2;
  int attention_out_weight = has_qkv_bias ? 3 : 2, mlp_norm_gain = attention_out_weight + 1;
  int gate_up_weight = mlp_norm_gain + 1, down_weight = gate_up_weight + 1;

  explicit BlockTensors(const UnitSpec& block) : has_qkv_bias(block.tensors.size() == 7) {}
};

std::vector<UnitSpec> units(const ModelConfig& config, const MicrobatchShape& shape);

}  // namespace trireme::llama
