#pragma once
// Collectives of the ranks of one node, who read each other's exported memory where it lies.

#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "comm/communicator.h"
#include "comm/node/board.h"
#include "comm/node/shared_file.h"
#include "comm/wait_log.h"
#include "comm/wait_watch.h"
#include "runtime/device/cpu/arena.h"

namespace trireme {

/// Another rank of the node.
struct NodePeer {
  int rank = 0;  // in the group, not on the node
  SharedMapping board;
  std::optional<SharedMapping> memory;
};

/// One rank's end of a node. A collective is begin(), reads of peers' memory, finish().
///
/// Order    all ranks of the node begin the same collectives in the same order, and release an exported slice at the
///          same places of that order.
/// Value    what a slice holds between two releases is one value. The first gather of it waits until the peer has come
///          to that gather; later ones read at once, however far behind the peer is: it cannot have written since, for
///          its own release waits until all have finished with what it released.
/// Threads  one at a time.
/// Failure  as WaitWatch says; Error(comm), too, where a peer is at another collective, or exports what it does not
///          share.
class NodeExchange {
 public:
  /// Moves messages with other nodes on, so that a wait here cannot hold up a wait there; whether any are under way.
  using Progress = std::function<bool()>;

  /// `board` lies in shared pages, and peers, by ascending rank, have mapped it. `limits` must outlive this.
  NodeExchange(cpu::Arena board, std::vector<NodePeer> peers, const WaitLimits& limits, Progress progress);

  /// Collective, once: from now on exports are read in place. Errors: Error(comm) where a peer's cannot be mapped.
  void share(const SharedMemory& own);
  bool is_sharing() const { return own_memory_.data != nullptr; }

  /// Shows `exported` (none: empty) to the peers, as this rank's part of the next collective.
  void begin(NodeCall call, const FlatRange& range, DType type, ConstView exported);
  /// The first byte of what `peer` exported to the gather under way.
  const std::byte* slice_of(int peer);
  /// The same for the reduce under way.
  const std::byte* gradient_of(int peer);
  /// This rank has read what it needs from its peers.
  void finish();

  /// Returns when every peer has finished with every collective so far that read `exported`.
  void release(const void* exported);
  /// Element-wise sums over the node, in place.
  void all_reduce(std::span<std::int64_t> sums);

  /// Waits for peers that had not come yet.
  std::size_t take_waits(std::span<WaitInterval> into) { return waits_.take(into); }

 private:
  /// What this rank exported from one address.
  struct Export {
    std::int64_t last_reader = 0;            // collective; 0: released since
    std::vector<const std::byte*> of_peers;  // where the value of each peer lies; null: not known yet
  };

  Board& own() { return *reinterpret_cast<Board*>(own_board_.data()); }
  static Board& board_of(NodePeer& peer) { return *reinterpret_cast<Board*>(peer.board.data()); }
  std::size_t index_of(int rank) const;
  BoardEntry& meet(NodePeer& peer);
  const std::byte* export_of(NodePeer& peer);
  void wait(NodePeer& peer, Board::Counter Board::*counter, std::int64_t target, const char* call);
  void sleep_until(NodePeer& peer, Board::Counter Board::*counter, std::int64_t target, const char* call);

  cpu::Arena own_board_;
  std::vector<NodePeer> peers_;
  const WaitLimits& limits_;
  Progress progress_;
  SharedMemory own_memory_;
  std::int64_t collective_ = 0;  // the last one begun
  std::int64_t last_sum_ = 0;    // the last all_reduce
  Export* gathered_ = nullptr;   // of the gather under way
  std::unordered_map<const void*, Export> exports_;
  WaitLog waits_;
};

}  // namespace trireme
