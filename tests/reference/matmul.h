#pragma once
// The matrix product in double precision, with the rounding of one f32 chain over K.

#include "tests/reference/tolerance.h"
#include "tests/runtime/kernels/guarded_tensor.h"

namespace trireme::reference {

/// One operand as it is stored.
struct Operand {
  const GuardedTensor& tensor;
  bool transposed;
  double at(Elems row, Elems col) const { return transposed ? tensor.at(col, row) : tensor.at(row, col); }
};

/// Element (m, n) of a b, and the bound of a chain of `depth` fused multiply-adds: each rounds a partial sum, which is
/// at most the sum of magnitudes.
inline Bounded product(const Operand& a, const Operand& b, Elems m, Elems n, Elems depth) {
  Bounded sum;
  double magnitude = 0;
  for (Elems k = 0; k < depth; ++k) {
    const double term = a.at(m, k) * b.at(k, n);
    sum.value += term;
    magnitude += std::fabs(term);
  }
  sum.error = static_cast<double>(depth) * f32_error * magnitude;
  return sum;
}

}  // namespace trireme::reference
