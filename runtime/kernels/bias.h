#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// Gradient of a bias: column sums of d_out, one f32 chain over the tokens per channel, rounded once.
///
/// Shapes  d_out [N,C], any row stride; d_bias [C], or empty: nothing is done. Types: each bf16 or f32.
/// Memory  no overlap.
struct BiasGradient {
  ConstView d_out;
  View d_bias;
};
void bias_gradient(const BiasGradient& k);

}  // namespace trireme
