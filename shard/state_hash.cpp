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

struct HashCombiner::State {
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash{XXH3_createState(), XXH3_freeState};
};

HashCombiner::HashCombiner() : state_(std::make_unique<State>()) { XXH3_64bits_reset(state_->hash.get()); }

HashCombiner::~HashCombiner() = default;

void HashCombiner::add(std::span<const std::uint64_t> hashes) {
  XXH3_64bits_update(state_->hash.get(), hashes.data(), hashes.size_bytes());
}

std::uint64_t HashCombiner::value() const { return XXH3_64bits_digest(state_->hash.get()); }

std::uint64_t combine_hashes(std::span<const std::vector<std::vector<std::uint64_t>>> by_rank) {
  HashCombiner combiner;
  for (std::size_t buffer = 0; !by_rank.empty() && buffer < by_rank.front().size(); ++buffer)
    for (const std::vector<std::vector<std::uint64_t>>& rank : by_rank) combiner.add(rank[buffer]);
  return combiner.value();
}

}  // namespace trireme
