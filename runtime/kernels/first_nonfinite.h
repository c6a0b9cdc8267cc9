#pragma once

#include <optional>

#include "runtime/base/tensor_view.h"

namespace trireme {

/// The first element of x [n], contiguous, f32 or bf16, that is infinite or not a number; none where all are finite.
std::optional<Elems> first_nonfinite(ConstView x);

}  // namespace trireme
