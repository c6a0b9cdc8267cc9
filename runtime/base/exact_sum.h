#pragma once
// Exact sums of doubles: integer limbs, so the result does not depend on the order of adding or on who adds.

#include <array>
#include <cstdint>

namespace trireme {

/// A sum of doubles held without rounding: digit i counts 2^(32 i - 1088), signed. A plain struct of integers:
/// adding two of them member by member (an all-reduce) is merging them. At most 2^30 values may be added in all.
struct ExactSum {
  static constexpr int limb_count = 68;
  std::array<std::int64_t, limb_count> limbs{};
  std::int64_t not_finite = 0;  // how many values were NaN or infinite; they are not in the limbs

  void add(double value);
  void merge(const ExactSum& other);
  /// The sum rounded to nearest, ties to even; infinite above the largest double; NaN when a value was not finite.
  double value() const;
};

static_assert(sizeof(ExactSum) == 69 * sizeof(std::int64_t));

}  // namespace trireme
