#pragma once
// Column sums in the order that the design gives them: one f32 chain over the rows, rounded once.

#include <vector>

#include "tests/runtime/kernels/guarded_tensor.h"

namespace trireme::reference {

/// The chain of column `col` over `rows`, in that order.
inline float column_chain(const GuardedTensor& matrix, Elems col, const std::vector<Elems>& rows) {
  float total = 0;
  for (Elems row : rows) total += static_cast<float>(matrix.at(row, col));
  return total;
}

}  // namespace trireme::reference
