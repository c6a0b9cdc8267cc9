#include "shard/flat_layout.h"

#include <algorithm>

namespace trireme {

FlatLayout::FlatLayout(const UnitSpec& unit, int rank_count) : ranks(rank_count) {
  Elems blocks = 0;
  for (const TensorSpec& tensor : unit.tensors) {
    const Elems elems = unit.holds(tensor) ? tensor.elems() : 0;
    tensor_begin.push_back(blocks * block_elems);
    tensor_elems.push_back(elems);
    blocks += ceil_div(elems, block_elems);
  }
  slice_elems = ceil_div(blocks, ranks) * block_elems;
}

std::vector<TensorPart> held_parts(const FlatLayout& layout, const FlatRange& range, int rank) {
  std::vector<TensorPart> parts;
  const int slice = range.elems == range.slice_elems ? 0 : rank;
  const Elems begin = slice * range.slice_elems, end = begin + range.slice_elems;
  for (std::size_t t = 0; t < layout.tensor_begin.size(); ++t) {
    const Elems first = std::max(begin, layout.tensor_begin[t]);
    const Elems last = std::min(end, layout.tensor_begin[t] + layout.tensor_elems[t]);
    if (first < last)
      parts.push_back({static_cast<int>(t), first - layout.tensor_begin[t], first - begin, last - first});
  }
  return parts;
}

std::vector<TensorPart> owned_parts(const FlatLayout& layout, int rank) {
  return held_parts(layout, layout.whole(), rank);
}

}  // namespace trireme
