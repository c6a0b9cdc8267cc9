#pragma once
// Sums of values and of squares in long double, with the bound of f64 sums over blocks of 1,024 in 16 lanes.

#include <cmath>
#include <vector>

namespace trireme::reference {

struct LongSums {
  long double squares = 0, values = 0, magnitudes = 0;
};

inline LongSums long_sums(const std::vector<double>& x) {
  LongSums sums;
  for (double value : x) {
    sums.squares += static_cast<long double>(value) * value;
    sums.values += value;
    sums.magnitudes += std::fabs(value);
  }
  return sums;
}

/// A lane adds 64 terms, the tree has 4 levels; one rounding of the exact sum: relative to the sum of magnitudes.
inline constexpr double block_sum_error = (64 + 4 + 1) * 0x1p-53;

}  // namespace trireme::reference
