#pragma once
// The ordered sum of one element: a chain in f32, whose bits are the contract.

#include <vector>

namespace trireme::reference {

inline float ordered_add(float accumulator, const std::vector<float>& pieces, bool store_first) {
  float sum = store_first ? pieces[0] : accumulator + pieces[0];
  for (std::size_t p = 1; p < pieces.size(); ++p) sum += pieces[p];
  return sum;
}

}  // namespace trireme::reference
