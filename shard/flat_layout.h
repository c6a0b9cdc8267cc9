#pragma once
// Where the tensors of a unit lie in its flat buffer, and which slice of it each rank owns.

#include <vector>

#include "runtime/schedule/op.h"
#include "shard/unit.h"

namespace trireme {

/// Hashes, norms and checkpoints count in blocks of a tensor; a slice is a whole number of blocks.
inline constexpr Elems block_elems = 1024;

/// Flat layout of one unit over `ranks` ranks. Tensor offsets do not depend on the number of ranks.
///
/// Out      every tensor starts at a multiple of 1,024 elements; slice = ceil(blocks / ranks) blocks on every rank
///          (the last ranks may own padding only); the full buffer is `ranks` slices. Tensors of the unit that lie in
///          another flat buffer (UnitSpec::holds) have no elements here.
struct FlatLayout {
  std::vector<Elems> tensor_begin, tensor_elems;
  Elems slice_elems = 0;
  int ranks = 1;

  FlatLayout(const UnitSpec& unit, int ranks);

  Elems full_elems() const { return slice_elems * ranks; }
  bool is_empty() const { return slice_elems == 0; }
  FlatRange whole() const { return {0, full_elems(), slice_elems}; }
  FlatRange tensor(int tensor) const {
    return {tensor_begin[static_cast<std::size_t>(tensor)], tensor_elems[static_cast<std::size_t>(tensor)],
            slice_elems};
  }
};

/// A run of elements of one tensor that lies in one slice.
struct TensorPart {
  int tensor = 0;
  Elems first = 0;     // element of the tensor
  Elems in_slice = 0;  // element of the slice
  Elems elems = 0;
};

/// What rank `rank` owns of the tensors, padding left out, in layout order. `first` is a multiple of 1,024.
std::vector<TensorPart> owned_parts(const FlatLayout& layout, int rank);

/// The same for what rank `rank` holds of `range`: its slice, or everything where the range is one slice (`in_slice`
/// then counts from the start of the flat buffer).
std::vector<TensorPart> held_parts(const FlatLayout& layout, const FlatRange& range, int rank);

}  // namespace trireme
