#pragma once
// Causal attention, by documents, of one sequence and head in double precision, with bounds on what a tiled f32 kernel
// may be off.

#include <vector>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

using Matrix = std::vector<std::vector<double>>;

/// Rows of one head: [T][D].
struct AttentionHead {
  Matrix q, k, v, d_out;
  std::vector<std::size_t> starts;  // of each token's document; empty: all 0
  double scale = 1;
  DType type = DType::f32;
};

struct AttentionResult {
  std::vector<std::vector<Bounded>> out, dq, dk, dv;
};

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
inline double dot_magnitude(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::fabs(a[i] * b[i]);
  return sum;
}

/// First-order bounds. A score is a chain of D; a probability carries the scores' absolute errors (its own and those of
/// the sum), the exponential's, the sum's roundings (one rescale per key tile included in 3 per 64 keys), and, in bf16,
/// its rounding to storage. Gradients carry those of what they are made of.
inline AttentionResult attention(const AttentionHead& h) {
  const std::size_t tokens = h.q.size(), d = h.q[0].size();
  const double eps = f32_error, storage = storage_error(h.type), chain = static_cast<double>(d + 2) * eps;
  const std::vector<std::vector<Bounded>> zero(tokens, std::vector<Bounded>(d));
  AttentionResult r{zero, zero, zero, zero};
  const auto add = [](Bounded& sum, double value, double error) { sum.value += value, sum.error += error; };
  for (std::size_t i = 0; i < tokens; ++i) {
    const std::size_t first = h.starts.empty() ? 0 : h.starts[i];
    std::vector<double> p(i + 1), p_error(i + 1);
    double top = -1e300, total = 0, worst = 0;
    for (std::size_t j = first; j <= i; ++j) top = std::max(top, p[j] = h.scale * dot(h.q[i], h.k[j]));
    for (std::size_t j = first; j <= i; ++j) {
      const double magnitude = h.scale * dot_magnitude(h.q[i], h.k[j]);
      p_error[j] = chain * magnitude + exp_error(p[j] - top) + 4 * eps * (std::fabs(p[j]) + std::fabs(top) + 1);
      worst = std::max(worst, p_error[j]);
      total += std::exp(p[j] - top);
    }
    const double sums = (static_cast<double>(tokens) / 16 + 12) * eps;
    for (std::size_t j = first; j <= i; ++j) {
      p[j] = std::exp(p[j] - top) / total;
      p_error[j] = p[j] * (p_error[j] + worst + sums);
    }
    double delta = 0, delta_error = 0;
    for (std::size_t c = 0; c < d; ++c) {
      double magnitude = 0;
      for (std::size_t j = first; j <= i; ++j) {
        add(r.out[i][c], p[j] * h.v[j][c],
            std::fabs(h.v[j][c]) * (p_error[j] + (h.type == DType::bf16 ? storage : 0) * p[j]));
        magnitude += std::fabs(p[j] * h.v[j][c]);
      }
      r.out[i][c].error += (static_cast<double>(i) + 8) * eps * magnitude;
      delta += r.out[i][c].value * h.d_out[i][c];
      delta_error += std::fabs(h.d_out[i][c]) *
                     (r.out[i][c].error + (storage + chain) * (std::fabs(r.out[i][c].value) + r.out[i][c].error));
    }
    for (std::size_t j = first; j <= i; ++j) {
      const double dp = dot(h.d_out[i], h.v[j]), dp_error = chain * dot_magnitude(h.d_out[i], h.v[j]);
      const double rounding = h.type == DType::bf16 ? storage : 0;
      const double ds = p[j] * (dp - delta);
      const double ds_error = p_error[j] * std::fabs(dp - delta) + p[j] * (dp_error + delta_error) +
                              (rounding + 3 * eps) * std::fabs(ds) + p[j] * rounding * (dp_error + delta_error);
      const double long_chain = (static_cast<double>(tokens) + 4) * eps;
      for (std::size_t c = 0; c < d; ++c) {
        const double pv = p[j] * h.d_out[i][c];
        add(r.dv[j][c], pv, std::fabs(h.d_out[i][c]) * (p_error[j] + rounding * p[j]) + long_chain * std::fabs(pv));
        add(r.dq[i][c], h.scale * ds * h.k[j][c],
            h.scale * std::fabs(h.k[j][c]) * (ds_error + long_chain * std::fabs(ds)));
        add(r.dk[j][c], h.scale * ds * h.q[i][c],
            h.scale * std::fabs(h.q[i][c]) * (ds_error + long_chain * std::fabs(ds)));
      }
    }
  }
  return r;
}

}  // namespace trireme::reference
