#pragma once

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/product_order.h"

namespace trireme {

/// Causal attention of a microbatch, forward: out = softmax(scale q k^T, masked) v, per sequence and head.
/// Tiled with online softmax: no T x T matrix exists.
///
/// Shapes  N = batch * T tokens. q, out [N, heads * D]; k, v [N, kv_heads * D]; any row stride (columns of one matrix).
///         heads is a multiple of kv_heads: query head h reads key head h / (heads / kv_heads).
///         log_sum_exp f32 [batch * heads, T]: log2 of the sum of 2^(scale log2(e) q k), what backward needs.
/// Types   q, k, v, out: bf16 or f32, all the same. Scores, sums and accumulators: f32; probabilities are rounded to the
///         storage type before they meet v.
/// Memory  workspace: attention_forward_workspace_bytes(), 64-byte aligned; linear in T.
/// Order   fixed per sequence and head, every product of blocks in `order` (tiles: bf16 only, blocks of 32 counted from the
///         first k of each product); bits depend on neither threads nor instruction set nor place in the batch.
/// Source  Dao 2023 (arXiv 2307.08691).
struct AttentionForward {
  ConstView q, k, v;
  View out, log_sum_exp;
  int batch = 0, heads = 0, kv_heads = 0;
  float scale = 1;
  View workspace;
  ProductOrder order = ProductOrder::chain;
};
void attention_forward(const AttentionForward& k);

/// Gradients of q, k and v. dk and dv of a key head are one f32 sum over its query heads in ascending order, each over
/// its query tiles in order; dq one over key tiles.
struct AttentionBackward {
  ConstView q, k, v, out, d_out, log_sum_exp;
  View dq, dk, dv;
  int batch = 0, heads = 0, kv_heads = 0;
  float scale = 1;
  View workspace;
  ProductOrder order = ProductOrder::chain;
};
void attention_backward(const AttentionBackward& k);

/// What the workspaces depend on.
struct AttentionShape {
  int batch = 0, heads = 0, kv_heads = 0;
  Elems tokens = 0;    // T
  Elems head_dim = 0;  // D
  DType type = DType::bf16;
};
Bytes attention_forward_workspace_bytes(const AttentionShape& shape, int threads);
Bytes attention_backward_workspace_bytes(const AttentionShape& shape, int threads);

}  // namespace trireme
