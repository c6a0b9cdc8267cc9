#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// The column of the largest of the first `vocabulary` elements; the first one where several are equal. NaN never wins;
/// 0 where all are NaN.
///
/// Shapes  logits [1,Vp]; index i32 [1]. Types: logits bf16 or f32.
struct Argmax {
  ConstView logits;
  Elems vocabulary = 0;
  View index;
};
void argmax(const Argmax& k);

}  // namespace trireme
