#pragma once
// Softmax cross-entropy of one row in double precision, with bounds on what f32 kernels may differ by.

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

struct CrossEntropyRow {
  Bounded loss;
  std::vector<Bounded> gradient;
};

/// `logits` without padding; weight and scale as in the kernel.
inline CrossEntropyRow cross_entropy(const std::vector<double>& logits, Elems target, double weight, double scale) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double total = 0, worst = 0;
  for (double x : logits) {
    // The kernel cuts exponentials at 2^-126, so a far smaller one is no more than flushed.
    total += std::exp(x - top);
    worst = std::max(worst, reference::exp_error(std::max(x - top, -88.0)));
  }
  const double sum_error = worst + lane_sum_roundings(static_cast<Elems>(logits.size())) * f32_error;
  CrossEntropyRow row;
  row.loss = {weight * (std::log(total) + top - logits[static_cast<std::size_t>(target)]),
              std::fabs(weight) * sum_error};
  for (std::size_t v = 0; v < logits.size(); ++v) {
    const double p = std::exp(logits[v] - top) / total, own = static_cast<Elems>(v) == target ? 1 : 0;
    // The exponential, the sum, and weight * scale / sum times it; the target's own subtraction and weight * scale.
    const double error =
        p * (exp_error(std::max(logits[v] - top, -88.0)) + sum_error + 4 * f32_error) + own * 2 * f32_error;
    row.gradient.push_back({weight * scale * (p - own), std::fabs(weight * scale) * error});
  }
  return row;
}

}  // namespace trireme::reference
