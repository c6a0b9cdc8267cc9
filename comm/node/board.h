#pragma once
// What a rank shows the other ranks of its node of the collectives that it has reached.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "comm/communicator.h"
#include "comm/node/shared_file.h"
#include "runtime/schedule/op.h"

namespace trireme {

/// The collectives of a node.
enum class NodeCall : std::int32_t { gather, reduce, all_reduce };
const char* name(NodeCall call);

/// A collective as one rank called it. Equal on all ranks, but for the export.
struct BoardEntry {
  NodeCall call = NodeCall::gather;
  FlatRange range;
  Bytes bytes = 0;
  Bytes export_offset = -1, export_bytes = 0;  // in the memory that the rank shares; -1: it exports nothing

  bool agrees(const BoardEntry& other) const {
    return call == other.call && range == other.range && bytes == other.bytes;
  }
};

/// Numbers in memory that all ranks of the node map. One rank raises them; its peers read them, and sleep on `changes`.
/// (std::atomic::wait is private to a process; these are futexes that are not.)
///
/// Order  what was written before a counter was raised is seen by who has seen the counter.
struct Board {
  /// How many collectives a rank may be ahead of the slowest one.
  static constexpr std::int64_t ring_entries = 64;

  using Counter = std::atomic<std::int64_t>;
  static_assert(Counter::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

  alignas(64) Counter shared{0};  // 1: `memory` is there
  Counter arrived{0}, done{0};    // number of the last collective reached, finished with
  std::atomic<std::uint32_t> changes{0}, sleepers{0};

  alignas(64) std::array<BoardEntry, ring_entries> entries{};  // by collective number
  SharedFile memory;                                           // what the exports lie in
  std::array<std::int64_t, Communicator::most_sums> sums{};    // of the all_reduce under way

  BoardEntry& entry(std::int64_t collective) { return entries[static_cast<std::size_t>(collective % ring_entries)]; }
  /// Raises a counter and wakes who sleeps. By the owner only.
  void raise(Counter& counter, std::int64_t value);
  /// Sleeps until something has changed since `changes` was `seen`, or the time is over.
  void sleep(std::uint32_t seen, std::chrono::nanoseconds longest);
};

}  // namespace trireme
