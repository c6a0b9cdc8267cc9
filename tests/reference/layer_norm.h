#pragma once
// Layer normalisation in double precision, with bounds on what f32 kernels may differ by.

#include <cmath>
#include <vector>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

using Doubles = std::vector<double>;

struct LayerNormRow {
  Bounded mean, inv_std;
  std::vector<Bounded> out;
};

inline LayerNormRow layer_norm_forward(const double* x, const Doubles& gain, const Doubles& bias, double eps) {
  const Elems channels = static_cast<Elems>(gain.size());
  const double c_count = static_cast<double>(channels), roundings = lane_sum_roundings(channels);
  double total = 0, magnitude = 0, squares = 0;
  for (Elems c = 0; c < channels; ++c) total += x[c], magnitude += std::fabs(x[c]);
  const double mean = total / c_count;
  for (Elems c = 0; c < channels; ++c) squares += (x[c] - mean) * (x[c] - mean);
  const double var = squares / c_count, inv_std = 1 / std::sqrt(var + eps);
  // A wrong mean adds its square to the variance: the cross term of a sum of distances is zero but for rounding.
  const double mean_error = (roundings + 1) * f32_error * magnitude / c_count;
  const double var_error = mean_error * mean_error + (roundings + 4) * f32_error * var +
                           2 * f32_error * (std::sqrt(var) + mean_error) * (std::sqrt(var) + mean_error);
  const double inv_error = inv_std * (0.5 * var_error / (var + eps) + 3 * f32_error);
  LayerNormRow row{{mean, mean_error}, {inv_std, inv_error}, {}};
  for (Elems c = 0; c < channels; ++c) {
    const auto i = static_cast<std::size_t>(c);
    const double distance = x[c] - mean, normed = distance * inv_std;
    const double normed_error = (mean_error + f32_error * std::fabs(distance)) * (inv_std + inv_error) +
                                (std::fabs(distance) + mean_error) * inv_error + f32_error * std::fabs(normed);
    const double out = normed * gain[i] + bias[i];
    row.out.push_back({out, std::fabs(gain[i]) * normed_error + f32_error * std::fabs(out)});
  }
  return row;
}

/// Gradients of a matrix [N,C] given mean and inv_std as stored, so these are exact here.
struct LayerNormGradients {
  std::vector<Bounded> d_x, d_gain, d_bias;
};

inline LayerNormGradients layer_norm_backward(const Doubles& x, const Doubles& gain, const Doubles& mean,
                                              const Doubles& inv_std, const Doubles& d_out, const Doubles& d_residual) {
  const std::size_t channels = gain.size(), tokens = mean.size();
  const double c_count = static_cast<double>(channels);
  const double sum_error = (lane_sum_roundings(static_cast<Elems>(channels)) + 5) * f32_error;
  const double chain_error = (static_cast<double>(tokens) + 3) * f32_error;
  LayerNormGradients g{{}, std::vector<Bounded>(channels), std::vector<Bounded>(channels)};
  for (std::size_t n = 0; n < tokens; ++n) {
    double mean_d = 0, mean_dx = 0, size_d = 0, size_dx = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      const double normed = (x[n * channels + c] - mean[n]) * inv_std[n], d = d_out[n * channels + c];
      mean_d += d * gain[c] / c_count, size_d += std::fabs(d * gain[c]) / c_count;
      mean_dx += d * gain[c] * normed / c_count, size_dx += std::fabs(d * gain[c] * normed) / c_count;
      g.d_gain[c].value += d * normed, g.d_gain[c].error += chain_error * std::fabs(d * normed);
      g.d_bias[c].value += d, g.d_bias[c].error += chain_error * std::fabs(d);
    }
    for (std::size_t c = 0; c < channels; ++c) {
      const double normed = (x[n * channels + c] - mean[n]) * inv_std[n], d = d_out[n * channels + c] * gain[c];
      const double out = inv_std[n] * (d - mean_d - normed * mean_dx);
      const double size = std::fabs(d) + std::fabs(mean_d) + std::fabs(normed * mean_dx);
      const double error = inv_std[n] * (6 * f32_error * size + sum_error * (size_d + std::fabs(normed) * size_dx));
      const double residual = d_residual.empty() ? 0 : d_residual[n * channels + c];
      g.d_x.push_back({residual + out, error + f32_error * std::fabs(residual + out)});
    }
  }
  return g;
}

}  // namespace trireme::reference
