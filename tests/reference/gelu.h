#pragma once
// GELU, tanh form, in double precision, with bounds on what f32 kernels may differ by.

#include <cmath>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

/// gelu(x) = x / 2 (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3); the kernels write x sigmoid(2u).
inline double gelu_inner(double x) { return 2 * std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x); }

/// Error of sigmoid(2u), relative: 2u itself carries five roundings, constants included.
inline double gelu_sigmoid_error(double x) {
  const double v = gelu_inner(x);
  return sigmoid_error(v) + 5 * f32_error * std::fabs(v) / (1 + std::exp(v));
}

inline Bounded gelu(double x) {
  const double out = x / (1 + std::exp(-gelu_inner(x)));
  return {out, std::fabs(out) * (gelu_sigmoid_error(x) + f32_error)};
}

inline Bounded gelu_slope(double x) {
  const double s = 1 / (1 + std::exp(-gelu_inner(x))), rest = 1 / (1 + std::exp(gelu_inner(x)));
  const double inner = 2 * std::sqrt(2 / std::acos(-1.0)) * (1 + 3 * 0.044715 * x * x);
  const double s_error = gelu_sigmoid_error(x);
  const double second = x * s * rest * inner, rest_error = s * s_error + f32_error * rest;
  const double slope = s + second;
  return {slope, s * s_error + std::fabs(second) * (s_error + 7 * f32_error) + std::fabs(x * inner) * s * rest_error +
                     f32_error * std::fabs(slope)};
}

}  // namespace trireme::reference
