#include "comm/node/node_exchange.h"

#include <algorithm>
#include <array>

#include "runtime/base/error.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

// A peer that is about to come is met without a system call; ranks may share a core, so not for long.
constexpr int spins = 200;
// How late an abort or a death may be noticed; and, with messages under way, how late those.
constexpr auto longest_sleep = std::chrono::milliseconds(50);
constexpr auto sleep_beside_messages = std::chrono::microseconds(100);

/// Counts as asleep on a board until the end of the scope.
class Sleeper {
 public:
  explicit Sleeper(Board& board) : board_(board) { ++board_.sleepers; }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() { --board_.sleepers; }

 private:
  Board& board_;
};

}  // namespace

NodeExchange::NodeExchange(cpu::Arena board, std::vector<NodePeer> peers, const WaitLimits& limits, Progress progress)
    : own_board_(std::move(board)), peers_(std::move(peers)), limits_(limits), progress_(std::move(progress)) {}

void NodeExchange::share(const SharedMemory& memory) {
  ensure(!is_sharing() && memory.data != nullptr, "memory is shared once");
  own().memory = name_file(memory.file);
  own().raise(own().shared, 1);
  for (NodePeer& peer : peers_) {
    wait(peer, &Board::shared, 1, "share");
    peer.memory.emplace(board_of(peer).memory, FileAccess::read);
  }
  own_memory_ = memory;
}

std::size_t NodeExchange::index_of(int rank) const {
  const auto found = std::lower_bound(peers_.begin(), peers_.end(), rank,
                                      [](const NodePeer& peer, int wanted) { return peer.rank < wanted; });
  ensure(found != peers_.end() && found->rank == rank, "rank {} is not on this node", rank);
  return static_cast<std::size_t>(found - peers_.begin());
}

void NodeExchange::begin(NodeCall call, const FlatRange& range, DType type, ConstView exported) {
  const std::int64_t n = ++collective_;
  for (NodePeer& peer : peers_) wait(peer, &Board::done, n - Board::ring_entries, name(call));
  BoardEntry& entry = own().entry(n);
  entry = {.call = call, .range = range, .bytes = range.elems * size_bytes(type)};
  gathered_ = nullptr;
  if (exported.data != nullptr) {
    entry.export_offset = static_cast<const std::byte*>(exported.data) - own_memory_.data;
    entry.export_bytes = exported.bytes();
    ensure(entry.export_offset >= 0 && entry.export_offset + entry.export_bytes <= own_memory_.bytes,
           "a {} exports memory that is not shared", name(call));
    Export& mine = exports_[exported.data];
    mine.of_peers.resize(peers_.size());
    mine.last_reader = n;
    if (call == NodeCall::gather) gathered_ = &mine;
  }
  own().raise(own().arrived, n);
}

void NodeExchange::finish() { own().raise(own().done, collective_); }

BoardEntry& NodeExchange::meet(NodePeer& peer) {
  BoardEntry& mine = own().entry(collective_);
  wait(peer, &Board::arrived, collective_, name(mine.call));
  BoardEntry& theirs = board_of(peer).entry(collective_);
  require(mine.agrees(theirs), ErrorKind::comm,
          "collective {} is {} of {} bytes on rank {} and {} of {} bytes on rank {}", collective_, name(mine.call),
          mine.bytes, limits_.rank, name(theirs.call), theirs.bytes, peer.rank);
  return theirs;
}

const std::byte* NodeExchange::export_of(NodePeer& peer) {
  const BoardEntry& entry = meet(peer);
  require(entry.export_offset >= 0, ErrorKind::comm, "rank {} brought nothing to collective {}", peer.rank,
          collective_);
  require(entry.export_offset + entry.export_bytes <= peer.memory->bytes(), ErrorKind::comm,
          "rank {} exports memory that it does not share", peer.rank);
  return peer.memory->data() + entry.export_offset;
}

const std::byte* NodeExchange::slice_of(int rank) {
  ensure(gathered_ != nullptr, "a gather exports a slice on every rank");
  const std::size_t index = index_of(rank);
  const std::byte*& slice = gathered_->of_peers[index];
  if (!slice) slice = export_of(peers_[index]);
  return slice;
}

const std::byte* NodeExchange::gradient_of(int rank) { return export_of(peers_[index_of(rank)]); }

void NodeExchange::release(const void* exported) {
  const auto found = exports_.find(exported);
  if (found == exports_.end() || found->second.last_reader == 0) return;
  Export& mine = found->second;
  for (NodePeer& peer : peers_) {
    wait(peer, &Board::arrived, mine.last_reader, "release");
    wait(peer, &Board::done, mine.last_reader, "release");
  }
  mine.last_reader = 0;
  std::fill(mine.of_peers.begin(), mine.of_peers.end(), nullptr);
}

void NodeExchange::all_reduce(std::span<std::int64_t> sums) {
  ensure(sums.size() <= own().sums.size(), "an all_reduce of {} values; at most {}", sums.size(), own().sums.size());
  // Peers may still read what stood there.
  for (NodePeer& peer : peers_) wait(peer, &Board::done, last_sum_, "all_reduce");
  std::copy(sums.begin(), sums.end(), own().sums.begin());
  begin(NodeCall::all_reduce, {.elems = static_cast<Elems>(sums.size())}, DType::i64, {});
  for (NodePeer& peer : peers_) {
    meet(peer);
    const auto& theirs = board_of(peer).sums;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += theirs[i];
  }
  finish();
  last_sum_ = collective_;
}

void NodeExchange::wait(NodePeer& peer, Board::Counter Board::*counter, std::int64_t target, const char* call) {
  const Board::Counter& value = board_of(peer).*counter;
  for (int spin = 0; spin < spins; ++spin)
    if (value.load(std::memory_order_acquire) >= target) return;
  const auto start = Clock::now();
  sleep_until(peer, counter, target, call);
  // Waiting for a peer's reads to end is transfer; waiting for it to come is not.
  if (counter != &Board::done) waits_.add({start, Clock::now()});
}

void NodeExchange::sleep_until(NodePeer& peer, Board::Counter Board::*counter, std::int64_t target, const char* call) {
  Board& board = board_of(peer);
  WaitWatch watch(limits_, call);
  const Sleeper sleeper(board);
  while (true) {
    const std::uint32_t seen = board.changes;
    if (board.*counter >= target) break;
    // Before the sleep: a rank that was held up in it sees that its peer came before it sees that its deadline passed.
    watch.look([&] { return std::vector<int>{peer.rank}; });
    if (progress_())
      board.sleep(seen, sleep_beside_messages);
    else
      board.sleep(seen, longest_sleep);
  }
  watch.end();
}

}  // namespace trireme
