#pragma once
// One hash for the weights of a run, whatever their layout: equal hash, equal run (design 4.9).

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/base/tensor_view.h"
#include "shard/flat_layout.h"

namespace trireme {

/// xxh3 of every 1,024-element block of tensors in `slice` (this rank's slice of one unit), in layout order.
/// Padding is not hashed. Appends to `hashes`.
void hash_blocks(const FlatLayout& layout, int rank, ConstView slice, std::vector<std::uint64_t>& hashes);

/// The hash of block hashes that come in logical order: per buffer, the lists of the ranks one after the other.
class HashCombiner {
 public:
  HashCombiner();
  ~HashCombiner();
  void add(std::span<const std::uint64_t> hashes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The same over lists that lie in memory.
/// by_rank[rank][buffer] is what hash_blocks gave there for the slice of a buffer (master3, m3, ...).
std::uint64_t combine_hashes(std::span<const std::vector<std::vector<std::uint64_t>>> by_rank);

}  // namespace trireme
