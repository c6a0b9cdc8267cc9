#include "shard/state_hash.h"

#include <xxhash.h>

#include <algorithm>

namespace trireme {

void hash_blocks(const FlatLayout& layout, int rank, ConstView slice, std::vector<std::uint64_t>& hashes) {
  for (const TensorPart& part : owned_parts(layout, rank))
    for (Elems done = 0; done < part.elems; done += block_elems) {
      const ConstView block = slice.cols_from(part.in_slice + done, std::min(block_elems, part.elems - done));
      hashes.push_back(XXH3_64bits(block.data, static_cast<std::size_t>(block.bytes())));
    }
}

std::uint64_t combine_hashes(std::span<const std::vector<std::vector<std::uint64_t>>> by_rank) {
  std::vector<std::uint64_t> ordered;
  for (std::size_t buffer = 0; !by_rank.empty() && buffer < by_rank.front().size(); ++buffer)
    for (const std::vector<std::vector<std::uint64_t>>& rank : by_rank)
      ordered.insert(ordered.end(), rank[buffer].begin(), rank[buffer].end());
  return XXH3_64bits(ordered.data(), ordered.size() * sizeof(std::uint64_t));
}

}  // namespace trireme
