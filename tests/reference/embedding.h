#pragma once
// Which places of a list of ids hold one id: what embedding backward adds up, in this order.

#include <vector>

#include "tests/runtime/kernels/guarded_tensor.h"

namespace trireme::reference {

inline std::vector<Elems> places_of(const GuardedTensor& ids, Elems id) {
  std::vector<Elems> places;
  for (Elems n = 0; n < ids.cols(); ++n)
    if (static_cast<Elems>(ids.at(n)) == id) places.push_back(n);
  return places;
}

}  // namespace trireme::reference
