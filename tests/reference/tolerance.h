#pragma once
// Bounds on rounding, for comparing kernels with double precision. First order; the rest is covered by `second_order`.

#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

#include "runtime/base/dtype.h"

namespace trireme::reference {

/// Largest relative error of one f32 operation, and of rounding to a storage type: half the spacing of numbers at 1,
/// which is 2^-23 for f32 and 2^-7 for bf16.
inline constexpr double f32_error = 0x1p-24;
inline double storage_error(DType type) { return type == DType::bf16 ? 0x1p-8 : f32_error; }
/// Flushed denormals: any product may be off by this much.
inline constexpr double flush_error = 0x1p-110;
inline constexpr double second_order = 1.01;

/// Longest chain of roundings in a sum of n values over 16 lanes: a lane's chain, then a tree of depth 4.
inline double lane_sum_roundings(Elems n) { return static_cast<double>(ceil_div(n, 16)) + 4; }

/// e^x of the kernels, relative: polynomial of 2^f (7.5e-8) by five fused steps, and x * log2(e), whose constant is
/// 1.34e-8 off.
inline double exp_error(double x) { return 7.5e-8 + 3 * f32_error + std::fabs(x) * (f32_error + 1.4e-8); }
/// s(x) = 1 / (1 + e^-x), relative: e^-x weighs 1 - s.
inline double sigmoid_error(double x) { return exp_error(x) / (1 + std::exp(x)) + 2 * f32_error; }

/// A value and how far a kernel may be from it before it is stored.
struct Bounded {
  double value = 0, error = 0;
};

/// Requires every value of `actual`, stored as `type`, within its bound of `expected`.
inline void require_close(const std::vector<double>& actual, const std::vector<Bounded>& expected, DType type) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto [value, error] = expected[i];
    const double bound = second_order * (error + storage_error(type) * (std::fabs(value) + error)) + flush_error;
    INFO("element " << i << ": " << actual[i] << ", in double precision " << value << " +- " << bound);
    if (!(std::fabs(actual[i] - value) <= bound)) REQUIRE(std::fabs(actual[i] - value) <= bound);
  }
}

}  // namespace trireme::reference
