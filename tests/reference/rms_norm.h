#pragma once
// RMS normalisation in double precision, with bounds on what f32 kernels may differ by.

#include <cmath>
#include <vector>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

using Doubles = std::vector<double>;

struct RmsNormRow {
  Bounded inv_rms;
  std::vector<Bounded> out;
};

inline RmsNormRow rms_norm_forward(const double* x, const Doubles& gain, double eps) {
  const std::size_t channels = gain.size();
  double squares = 0;
  for (std::size_t c = 0; c < channels; ++c) squares += x[c] * x[c] / static_cast<double>(channels);
  const double inv_rms = 1 / std::sqrt(squares + eps);
  const double relative = 0.5 * (lane_sum_roundings(static_cast<Elems>(channels)) + 3) * f32_error + 2 * f32_error;
  RmsNormRow row{{inv_rms, relative * inv_rms}, {}};
  for (std::size_t c = 0; c < channels; ++c) {
    const double out = x[c] * inv_rms * gain[c];
    row.out.push_back({out, (relative + 2 * f32_error) * std::fabs(out)});
  }
  return row;
}

/// Gradients of a matrix [N,C] given inv_rms as stored, so it is exact here.
struct RmsNormGradients {
  std::vector<Bounded> d_x, d_gain;
};

inline RmsNormGradients rms_norm_backward(const Doubles& x, const Doubles& gain, const Doubles& inv_rms,
                                          const Doubles& d_out, const Doubles& d_residual) {
  const std::size_t channels = gain.size(), tokens = inv_rms.size();
  const double c_count = static_cast<double>(channels);
  const double sum_error = (lane_sum_roundings(static_cast<Elems>(channels)) + 4) * f32_error;
  const double chain_error = (static_cast<double>(tokens) + 2) * f32_error;
  RmsNormGradients g{{}, std::vector<Bounded>(channels)};
  for (std::size_t n = 0; n < tokens; ++n) {
    double mean_dot = 0, size_dot = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      const double normed = x[n * channels + c] * inv_rms[n], d = d_out[n * channels + c];
      mean_dot += d * gain[c] * normed / c_count, size_dot += std::fabs(d * gain[c] * normed) / c_count;
      g.d_gain[c].value += d * normed, g.d_gain[c].error += chain_error * std::fabs(d * normed);
    }
    for (std::size_t c = 0; c < channels; ++c) {
      const double normed = x[n * channels + c] * inv_rms[n], d = d_out[n * channels + c] * gain[c];
      const double out = inv_rms[n] * (d - normed * mean_dot);
      const double size = std::fabs(d) + std::fabs(normed * mean_dot);
      const double error = inv_rms[n] * (5 * f32_error * size + sum_error * std::fabs(normed) * size_dot);
      const double residual = d_residual.empty() ? 0 : d_residual[n * channels + c];
      g.d_x.push_back({residual + out, error + f32_error * std::fabs(residual + out)});
    }
  }
  return g;
}

}  // namespace trireme::reference
