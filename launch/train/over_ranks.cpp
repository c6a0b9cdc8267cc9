#include "launch/train/over_ranks.h"

#include <span>
#include <string>
#include <utility>

#include "comm/agreement.h"
#include "shard/state_hash.h"

namespace trireme {
namespace {

/// One list for all buffers of a rank.
struct FlatHashes {
  std::vector<std::size_t> counts;  // by buffer
  std::vector<std::uint64_t> hashes;
};

FlatHashes flatten(BlockHashes lists) {
  FlatHashes flat;
  std::size_t total = 0;
  for (const auto& list : lists) total += flat.counts.emplace_back(list.size());
  flat.hashes.reserve(total);
  for (auto& list : lists) {
    flat.hashes.insert(flat.hashes.end(), list.begin(), list.end());
    list = {};
  }
  return flat;
}

/// The bytes of a rank, without its strings.
struct ProcessBytes {
  int node_first_rank = 0;
  Bytes planned = 0, measured = 0;
};

}  // namespace

std::uint64_t hash_over_ranks(ProgramRunner& runner, BlockHashes own) {
  const FlatHashes flat = flatten(std::move(own));
  std::vector<std::vector<std::size_t>> counts;
  std::vector<std::vector<std::uint64_t>> hashes;
  runner.on_comm_stream([&](Communicator& ranks) {
    counts = all_gather_lists<std::size_t>(ranks, flat.counts);
    hashes = all_gather_lists<std::uint64_t>(ranks, flat.hashes);
  });
  HashCombiner combiner;
  std::vector<std::size_t> at(hashes.size());  // where the next buffer of each rank begins
  for (std::size_t buffer = 0; buffer < flat.counts.size(); ++buffer)
    for (std::size_t rank = 0; rank < hashes.size(); ++rank) {
      const std::size_t count = counts[rank][buffer];
      combiner.add(std::span(hashes[rank]).subspan(at[rank], count));
      at[rank] += count;
    }
  return combiner.value();
}

std::vector<RankMemory> memory_over_ranks(ProgramRunner& runner, const RankMemory& own) {
  const ProcessBytes bytes{
      .node_first_rank = own.node_first_rank, .planned = own.planned_bytes, .measured = own.measured_bytes};
  std::vector<std::string> nodes;
  std::vector<ProcessBytes> of_ranks;
  runner.on_comm_stream([&](Communicator& ranks) {
    nodes = all_gather(ranks, own.node);
    of_ranks = all_gather(ranks, bytes);
  });
  std::vector<RankMemory> memory;
  for (std::size_t rank = 0; rank < nodes.size(); ++rank)
    memory.push_back({.node_first_rank = of_ranks[rank].node_first_rank,
                      .node = nodes[rank],
                      .planned_bytes = of_ranks[rank].planned,
                      .measured_bytes = of_ranks[rank].measured});
  return memory;
}

std::vector<RankWire> wire_over_ranks(ProgramRunner& runner) {
  const RankWire own = runner.wire();
  return runner.over_ranks([&](Communicator& ranks) { return all_gather(ranks, own); });
}

}  // namespace trireme
