#pragma once
// Rotary embedding in double precision (tables in long double by the C library), with bounds for f32 kernels.

#include <cmath>

#include "runtime/kernels/rope.h"
#include "tests/reference/tolerance.h"

namespace trireme::reference {

/// The pair (a, b) turned by (cosine, sine): both products and the sum are rounded.
inline Bounded rope_low(double a, double b, double cosine, double sine) {
  return {a * cosine - b * sine, 2 * f32_error * (std::fabs(a * cosine) + std::fabs(b * sine))};
}
inline Bounded rope_high(double a, double b, double cosine, double sine) {
  return {b * cosine + a * sine, 2 * f32_error * (std::fabs(b * cosine) + std::fabs(a * sine))};
}

/// Frequency i of a head of `head_dim`, as transformers' modeling_rope_utils computes it.
inline long double rope_frequency(Elems i, Elems head_dim, double theta, const RopeScaling& scaling) {
  const long double frequency = std::pow(static_cast<long double>(theta), -2.0L * i / head_dim);
  const long double wavelength = 2 * std::acos(-1.0L) / frequency, context = scaling.original_context;
  if (wavelength < context / scaling.high_freq_factor) return frequency;
  if (wavelength > context / scaling.low_freq_factor) return frequency / scaling.factor;
  const long double smooth =
      (context / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - smooth) * frequency / scaling.factor + smooth * frequency;
}

/// How far our angle may be off: `roundings` of double in the frequency, and the two-part pi / 2.
inline double rope_angle_error(double angle, Elems head_dim) {
  return 0x1p-53 * angle * (static_cast<double>(head_dim) + 12) + 0x1p-52;
}

}  // namespace trireme::reference
