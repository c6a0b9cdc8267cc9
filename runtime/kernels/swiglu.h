#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// SwiGLU, forward: out = gate * sigmoid(gate) * up.
///
/// Shapes  gate, up, out [N,F]; any row stride. Types: bf16 or f32, all the same.
/// Memory  no overlap. Order: element by element.
/// Source  Shazeer 2020 (arXiv 2002.05202).
struct SwigluForward {
  ConstView gate, up;
  View out;
};
void swiglu_forward(const SwigluForward& k);

/// d_gate = d_out * up * s * (1 + gate * (1 - s)), d_up = d_out * gate * s, with s = sigmoid(gate).
struct SwigluBackward {
  ConstView gate, up, d_out;
  View d_gate, d_up;
};
void swiglu_backward(const SwigluBackward& k);

}  // namespace trireme
