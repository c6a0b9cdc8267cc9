#pragma once

#include "runtime/base/exact_sum.h"
#include "runtime/base/tensor_view.h"

namespace trireme {

/// Adds the sum of squares of x to an exact sum: f64 sums over fixed blocks of 1,024 elements from x's start, each in
/// 16 lanes, then exactly (design 4.4). Bits depend on neither threads nor slices that are cut at block edges.
///
/// Shapes  x [n], contiguous, f32.
struct SquareSum {
  ConstView x;
  ExactSum* sum = nullptr;
};
void square_sum(const SquareSum& k);

/// The same of the values themselves.
struct BlockSum {
  ConstView x;
  ExactSum* sum = nullptr;
};
void block_sum(const BlockSum& k);

}  // namespace trireme
