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

/// The same in f32, operation by operation as transformers does (_compute_llama3_parameters, torch's float32).
inline float rope_frequency_of_transformers(Elems i, Elems head_dim, double theta, const RopeScaling& s) {
  const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
  const float frequency = 1.0f / std::pow(static_cast<float>(theta), exponent);
  if (s.factor == 1) return frequency;
  const auto context = static_cast<float>(s.original_context), low = static_cast<float>(s.low_freq_factor),
             high = static_cast<float>(s.high_freq_factor), factor = static_cast<float>(s.factor);
  const float wavelength = static_cast<float>(2 * std::acos(-1.0)) / frequency;
  if (wavelength < context / high) return frequency;
  if (wavelength > context / low) return frequency / factor;
  const float smooth = (context / wavelength - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

/// How far that may be from the exact one, relative. `transformers` rounds the exponent (theta's logarithm times as
/// much in the power), the power (2 units), the quotient; then, where it bends, 10 more operations of which `smooth` is
/// one with cancellation: context / wavelength is at most `high` in size, and its error is divided by high - low.
inline double rope_frequency_error_of_transformers(double theta, const RopeScaling& s) {
  const double plain = std::log(theta) + 4;
  const double bend = 8 + s.factor * (plain + 4) * s.high_freq_factor / (s.high_freq_factor - s.low_freq_factor);
  return f32_error * (plain + (s.factor == 1 ? 0 : bend));
}

/// How far our angle may be off: `roundings` of double in the frequency, and the two-part pi / 2.
inline double rope_angle_error(double angle, Elems head_dim) {
  return 0x1p-53 * angle * (static_cast<double>(head_dim) + 12) + 0x1p-52;
}

}  // namespace trireme::reference
