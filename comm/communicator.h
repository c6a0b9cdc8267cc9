#pragma once
// The whole of communication on one page: what the ranks of a group do together.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "comm/traffic.h"
#include "comm/wait_log.h"
#include "runtime/base/tensor_view.h"
#include "runtime/schedule/op.h"

namespace trireme {

/// Slices of a unit's flat buffer, from the ranks that hold them, into one full buffer.
struct Gather {
  ConstView slice;            // [range.slice_elems] this rank's exported slice of the flat buffer
  FlatRange range;            // the part of the flat buffer that is gathered
  View full;                  // [range.elems]; empty on a rank that is not in `to`
  std::span<const int> to;    // ranks that receive, ascending
  std::span<const int> from;  // from[i] holds slice i; this rank is among them; empty: rank i holds slice i

  int slices(int group_size) const { return from.empty() ? group_size : static_cast<int>(from.size()); }
  int holder(int slice_number) const {
    return from.empty() ? slice_number : from[static_cast<std::size_t>(slice_number)];
  }
  /// The number of the slice that `rank` holds.
  int slice_of(int rank) const {
    return from.empty() ? rank : static_cast<int>(std::find(from.begin(), from.end(), rank) - from.begin());
  }
};

/// The ordered reduce-scatter: contributions to a range of a unit's gradient, added in the order of `from` in f32.
/// acc = (accumulate ? acc : nothing) + from[0] + from[1] + ...: the first contribution is stored, not added to zero.
struct Reduce {
  ConstView gradient;  // [range.elems] this rank's contribution, exported; empty where it is not in `from`
  FlatRange range;
  std::span<const int> from;  // contributing ranks in adding order
  View accumulator;           // f32 [range.owned_by(rank).elems]
  bool accumulate = false;
  View staging;              // owned elems of every contributor that does not share memory, in the gradient's type
  DType wire = DType::bf16;  // type of the contributions, also on ranks without one
};

/// Memory that other processes of the node can map: `file` begins with the byte at `data`.
struct SharedMemory {
  std::byte* data = nullptr;
  Bytes bytes = 0;
  int file = -1;
};

/// One rank's end of a group of ranks.
///
/// Threads  a communicator belongs to one stream: all calls come from tasks of that stream (before the run: from the
///          thread that made it). Each call blocks that stream only, until the local result is valid.
/// Order    all ranks make the same collective calls in the same order.
/// Export   the slice of a gather and the gradient of a reduce are read by peers after the call returned, until
///          release() of the same address returned; until then they must not be written. Ranks release a slice at the
///          same places of their common order.
/// Failure  every wait has a deadline and watches for an abort; both end it with Error(comm) that names this rank, the
///          call and the peers it was waiting for.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Ranks with an equal number read each other's exports in place once they share() them: no staging for those.
  virtual int node_of(int rank) const = 0;
  /// Collective, once, before anything is exported, where another rank has this rank's number: what all exports lie in,
  /// until the communicator has gone. Errors: Error(comm) where a peer's memory cannot be mapped.
  virtual void share(const SharedMemory& memory) = 0;

  virtual void gather(const Gather& gather) = 0;
  virtual void reduce(const Reduce& reduce) = 0;
  /// Returns when every peer has finished with every collective so far that read `exported`.
  virtual void release(const void* exported) = 0;

  static constexpr std::size_t most_sums = 512;  // int64: 4 KiB
  /// Element-wise integer sums over all ranks, in place: order-free, hence exact. At most `most_sums`.
  virtual void all_reduce(std::span<std::int64_t> sums) = 0;
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  virtual void send(std::span<const std::byte> bytes, int to) = 0;
  virtual void receive(std::span<std::byte> bytes, int from) = 0;
  virtual void barrier() = 0;

  /// Moves outstanding messages on; called while the stream is idle, unless there never are any.
  virtual void progress() = 0;
  virtual bool needs_progress() const = 0;
  /// The oldest intervals, since the last call, in which the stream waited for ranks that had not come yet; how many.
  /// From any thread. Messages do not tell, so waits for ranks of other nodes are not among them.
  virtual std::size_t take_waits(std::span<WaitInterval> into) = 0;
  /// What this rank has taken from others so far. Call while the stream is idle.
  virtual Traffic traffic() const = 0;
  /// Ends every wait of every rank of the group, from any thread.
  virtual void abort() = 0;
};

}  // namespace trireme
