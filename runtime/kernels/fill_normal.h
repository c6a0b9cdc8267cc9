#pragma once

#include "runtime/base/random.h"
#include "runtime/base/tensor_view.h"

namespace trireme {

/// out[i] = scale * normal(first_index + i): any rank makes its own slice of a tensor.
///
/// Shapes  out [n], contiguous, f32.
struct FillNormal {
  View out;
  Random random;
  std::uint64_t first_index = 0;
  double scale = 1;
};
void fill_normal(const FillNormal& k);

/// out[i] = value. out [n], contiguous, f32.
void fill_constant(View out, float value);

}  // namespace trireme
