#pragma once
// The tensors of a unit, by number, in its flat buffers.

#include "runtime/base/tensor_view.h"
#include "shard/flat_layout.h"
#include "shard/unit.h"

namespace trireme {

/// The number of a tensor that a model has not.
inline constexpr int no_tensor = -1;

/// Parameters, or their gradients, which frozen ones have not.
struct UnitTensors {
  const UnitSpec* unit = nullptr;
  const FlatLayout* layout = nullptr;
  View flat;
  const FlatLayout* frozen_layout = nullptr;  // of the frozen tensors
  View frozen;
  int first = 0;  // the unit's number of our tensor 0

  /// Tensor number `tensor`, [rows, cols]; empty where there is none.
  View operator[](int tensor) const;
  /// The same from tensor `tensor` on: a segment counts its own.
  UnitTensors from(int tensor) const {
    UnitTensors rest = *this;
    rest.first += tensor;
    return rest;
  }
};

}  // namespace trireme
