#pragma once
// SwiGLU in double precision, with bounds on what f32 kernels may differ by.

#include <cmath>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

inline Bounded swiglu(double gate, double up) {
  const double out = gate * sigmoid(gate) * up;
  return {out, std::fabs(out) * (sigmoid_error(gate) + 2 * f32_error)};
}

struct SwigluGradients {
  Bounded d_gate, d_up;
};

inline SwigluGradients swiglu_backward(double gate, double up, double d_out) {
  const double s = sigmoid(gate), s_error = sigmoid_error(gate), rest = 1 - s, inner = 1 + gate * rest;
  const double d_gate = d_out * up * s * inner, d_up = d_out * gate * s;
  const double inner_error = std::fabs(gate) * (s * s_error + f32_error * rest) + f32_error * std::fabs(inner);
  return {{d_gate, std::fabs(d_out * up) * s * (inner_error + std::fabs(inner) * (s_error + 3 * f32_error))},
          {d_up, std::fabs(d_up) * (s_error + 2 * f32_error)}};
}

}  // namespace trireme::reference
