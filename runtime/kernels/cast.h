#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// Copies between storage types, rounding to nearest even: f32 or bf16 in, f32 or bf16 out.
///
/// Shapes  in, out: equally many elements, contiguous.
/// Memory  no overlap. Order: element by element.
struct Cast {
  ConstView in;
  View out;
};
void cast(const Cast& k);

}  // namespace trireme
