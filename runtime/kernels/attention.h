#pragma once

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/product_order.h"

namespace trireme {

/// Causal attention of a microbatch, forward: out = softmax(scale q k^T, masked) v, per sequence and head.
/// Tiled with online softmax: no T x T matrix exists. With documents a query sees the keys of its own: softmax over
/// keys [document_starts[n], place of n].
///
/// Shapes  N = batch * T tokens. q, out [N, heads * D]; k, v [N, kv_heads * D]; any row stride (columns of one matrix).
///         heads is a multiple of kv_heads: query head h reads key head h / (heads / kv_heads).
///         document_starts i32 [N], or empty: a sequence is one document. By token, the place in its sequence at which
///         its document starts: that of the token before, or its own place. log_sum_exp f32 [batch * heads, T]: log2 of
///         the sum of 2^(scale log2(e) q k), what backward needs.
/// Types   q, k, v, out: bf16 or f32, all the same. Scores, sums and accumulators: f32; probabilities are rounded to
/// the
///         storage type before they meet v.
/// Memory  workspace: attention_forward_workspace_bytes(), 64-byte aligned; linear in T.
/// Order   fixed per sequence and head; bits depend on neither threads nor instruction set nor place in the batch. A
/// score
///         is one sum over D; the softmax of a query rescales once per 192 keys; out is one sum over the keys. Sums are
///         chains, or blocks of 32 in the tiles order (bf16 only): counted from the first channel, and from keys whose
///         number is a multiple of 32, which the causal cuts then are, too. The last block of a sequence is padded by
///         zeros. Keys that a query does not see add nothing; starts that are all 0 give the bits of none.
/// Errors  bug for views of other shapes or types, and document starts that are none.
/// Source  Dao 2023 (arXiv 2307.08691).
struct AttentionForward {
  ConstView q, k, v;
  View out, log_sum_exp;
  ConstView document_starts;
  int batch = 0, heads = 0, kv_heads = 0;
  float scale = 1;
  View workspace;
  ProductOrder order = ProductOrder::chain;
};
void attention_forward(const AttentionForward& k);

/// Gradients of q, k and v from those of out: p = 2^(scale log2(e) q k - log_sum_exp), ds = p (d_out v - out d_out).
/// p and ds are rounded to the storage type before they meet d_out, q and k; ds is made from the p before rounding.
///
/// Order   dk and dv of a key head are one f32 sum over its query heads in ascending order, each over its queries in
///         order; dq is one over the keys. The rest as above; blocks of 32 queries are counted like those of keys.
struct AttentionBackward {
  ConstView q, k, v, out, d_out, log_sum_exp;
  View dq, dk, dv;
  ConstView document_starts;
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
