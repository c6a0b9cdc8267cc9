#pragma once

#include <span>

#include "runtime/base/tensor_view.h"

namespace trireme {

/// The arithmetic of the ordered reduce-scatter: pieces are added to an accumulator in their order, in f32.
/// accumulator = (store_first ? pieces[0] : accumulator + pieces[0]) + pieces[1] + ...
///
/// Shapes  accumulator and every piece: equally many elements, contiguous; at least one piece.
/// Types   accumulator f32; pieces bf16 or f32, all the same.
/// Memory  no overlap. Order: per element one chain over the pieces.
struct OrderedAdd {
  View accumulator;
  std::span<const ConstView> pieces;
  bool store_first = false;
};
void ordered_add(const OrderedAdd& k);

}  // namespace trireme
