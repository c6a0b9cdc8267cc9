#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// RMS normalisation, forward: out = x / sqrt(mean(x*x) + eps) * gain, per token.
///
/// Shapes  x, out [N,G*C], any row stride; gain [C]; inv_rms [N*G]. Each run of C channels is normalised by itself: G
/// is
///         1, or the number of heads.
/// Types   x, out, gain: one of bf16, f32. inv_rms and all sums: f32.
/// Memory  no overlap. Order: fixed per row (16 lanes), so bits do not depend on the thread count.
/// Source  Zhang and Sennrich 2019 (arXiv 1910.07467).
struct RmsNormForward {
  ConstView x, gain;
  View out, inv_rms;
  float eps = 1e-5f;
};
void rms_norm_forward(const RmsNormForward& k);

/// d_x = d_residual + the gradient of x; d_gain: one f32 chain over the tokens, and the runs of each, per channel,
/// rounded once.
///
/// Shapes  x, d_out, d_residual, d_x [N,G*C]; gain, d_gain [C]; inv_rms [N*G]. d_residual may be empty; so may
///         d_gain, which is then not computed.
/// Types   as forward; d_gain bf16 or f32.
/// Memory  d_x may be d_residual; no other overlap.
struct RmsNormBackward {
  ConstView x, gain, inv_rms, d_out, d_residual;
  View d_x, d_gain;
};
void rms_norm_backward(const RmsNormBackward& k);

}  // namespace trireme
