#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// Layer normalisation, forward: out = (x - mean) / sqrt(var + eps) * gain + bias, per token.
///
/// Shapes  x, out [N,C]; gain, bias [C]; mean, inv_std [N].
/// Types   x, gain, bias, out: bf16 or f32, all the same. mean, inv_std and all sums: f32.
/// Memory  no overlap. Order: fixed per row (16 lanes), so bits do not depend on the thread count.
/// Source  Ba et al. 2016 (arXiv 1607.06450).
struct LayerNormForward {
  ConstView x, gain, bias;
  View out, mean, inv_std;
  float eps = 1e-5f;
};
void layer_norm_forward(const LayerNormForward& k);

/// d_x = d_residual + the gradient of x; d_gain, d_bias: one f32 chain over the tokens per channel, rounded once.
///
/// Shapes  x, d_out, d_residual, d_x [N,C]; gain, d_gain, d_bias [C]; mean, inv_std [N]. d_residual may be empty; so
/// may
///         d_gain and d_bias, which are then not computed.
/// Types   as forward; d_gain and d_bias bf16 or f32.
/// Memory  d_x may be d_residual; no other overlap.
struct LayerNormBackward {
  ConstView x, gain, mean, inv_std, d_out, d_residual;
  View d_x, d_gain, d_bias;
};
void layer_norm_backward(const LayerNormBackward& k);

}  // namespace trireme
