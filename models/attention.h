#pragma once
// Attention of every family: q, k and v are columns of one matrix. Sizes of its scratch, and the calls of its kernels.

#include <cmath>

#include "models/batch.h"
#include "models/carve.h"
#include "models/describe.h"
#include "models/shapes.h"
#include "runtime/kernels/attention.h"

namespace trireme {

inline AttentionShape attention_shape(const Shapes& s, const MicrobatchShape& shape) {
  return {.batch = static_cast<int>(s.B), .heads = static_cast<int>(s.H), .kv_heads = static_cast<int>(s.K),
          .tokens = s.T, .head_dim = s.D, .type = shape.compute};
}
inline Bytes attention_forward_bytes(const Shapes& s, const MicrobatchShape& shape) {
  return attention_forward_workspace_bytes(attention_shape(s, shape), shape.threads);
}
inline Bytes attention_backward_bytes(const Shapes& s, const MicrobatchShape& shape) {
  return attention_backward_workspace_bytes(attention_shape(s, shape), shape.threads);
}

/// Scratch of attention's backward.
struct AttentionScratch {
  View d_mixed;   // [N,C]
  View d_qkv;     // [N,(H+2K)D]
  View d_normed;  // [N,C], over d_mixed: not alive together
  View kernels;   // bytes

  AttentionScratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : d_mixed(carve.take(type, s.N, s.C)), d_qkv(carve.take(type, s.N, s.qkv())), d_normed(d_mixed),
        kernels(carve.take_bytes(kernel_bytes)), bytes(carve.used_bytes()) {}
  Bytes bytes;
};

/// The columns of a matrix [N,(H+2K)D].
struct Qkv {
  View q, k, v;
  Qkv(const View& qkv, const Shapes& s)
      : q(qkv.cols_from(0, s.H * s.D)), k(qkv.cols_from(s.H * s.D, s.K * s.D)),
        v(qkv.cols_from((s.H + s.K) * s.D, s.K * s.D)) {}
};

inline float attention_scale(const Shapes& s) { return 1.0f / std::sqrt(static_cast<float>(s.D)); }

/// mixed = attention(q, k, v). `saved` is a family's AttentionSaved.
template <typename Saved>
void mix_forward(const Shapes& s, const Saved& saved, const Batch& batch, const View& workspace) {
  const Qkv qkv(saved.qkv, s);
  attention_forward({.q = qkv.q, .k = qkv.k, .v = qkv.v, .out = saved.mixed, .log_sum_exp = saved.log_sum_exp,
                     .document_starts = batch.document_starts, .batch = static_cast<int>(s.B), .heads = static_cast<int>(s.H), .kv_heads = static_cast<int>(s.K),
                     .scale = attention_scale(s), .workspace = workspace, .order = s.products});
}

/// d_qkv from d_mixed.
template <typename Saved>
void mix_backward(const Shapes& s, const Saved& saved, const Batch& batch, const AttentionScratch& scratch) {
  const Qkv qkv(saved.qkv, s), d_qkv(scratch.d_qkv, s);
  attention_backward({.q = qkv.q, .k = qkv.k, .v = qkv.v, .out = saved.mixed, .d_out = scratch.d_mixed,
                      .log_sum_exp = saved.log_sum_exp, .dq = d_qkv.q, .dk = d_qkv.k, .dv = d_qkv.v,
                      .document_starts = batch.document_starts, .batch = static_cast<int>(s.B), .heads = static_cast<int>(s.H), .kv_heads = static_cast<int>(s.K),
                      .scale = attention_scale(s), .workspace = scratch.kernels, .order = s.products});
}

}  // namespace trireme
