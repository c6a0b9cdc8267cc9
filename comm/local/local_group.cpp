#include "comm/local/local_group.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/kernels/ordered_add.h"

namespace trireme {
namespace {

// How many collectives a rank may be ahead of the slowest one.
constexpr std::int64_t ring_entries = 16;

/// A collective as one rank called it: equal on all ranks but for the memory.
struct Call {
  const char* name = "";
  FlatRange range;
  Bytes bytes = 0;
  const void* memory = nullptr;  // what peers may read
};

bool agrees(const Call& a, const Call& b) { return a.name == b.name && a.range == b.range && a.bytes == b.bytes; }

/// What a rank shows its peers of the collectives that it has reached.
struct Shown {
  std::int64_t arrived = 0, done = 0;      // collectives reached, finished with
  std::array<Call, ring_entries> calls{};  // by collective number
  int readers = 0;                         // peers that read this rank's memory right now
  bool withdrawn = false;                  // failed: its memory may be gone
};

}  // namespace

struct LocalGroup::State {
  State(int size, const LocalOptions& group_options) : options(group_options), ranks(static_cast<std::size_t>(size)) {}

  LocalOptions options;
  std::mutex mutex;
  std::condition_variable changed;
  bool aborted = false;
  std::vector<Shown> ranks;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> mail;  // (from, to)
};

namespace {

class LocalCommunicator final : public Communicator {
 public:
  LocalCommunicator(std::shared_ptr<LocalGroup::State> state, int rank);

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(state_->ranks.size()); }
  int node_of(int) const override { return 0; }
  void share(const SharedMemory&) override {}
  void gather(const Gather& gather) override;
  void reduce(const Reduce& reduce) override;
  void release(const void* exported) override;
  void all_reduce(std::span<std::int64_t> sums) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  void send(std::span<const std::byte> bytes, int to) override;
  void receive(std::span<std::byte> bytes, int from) override;
  void barrier() override;
  void progress() override {}
  bool needs_progress() const override { return false; }
  std::size_t take_waits(std::span<WaitInterval>) override { return 0; }
  Traffic traffic() const override { return traffic_; }
  void abort() override;

 private:
  void count(int peer, Bytes bytes) { traffic_.in_place += peer == rank_ ? 0 : bytes; }
  using Lock = std::unique_lock<std::mutex>;

  Shown& shown(int rank) { return state_->ranks[static_cast<std::size_t>(rank)]; }
  class Reading;

  template <typename Ready>
  void wait(Lock& lock, const char* call, int peer, Ready ready);
  void let_go(int peer);
  void withdraw(Lock& lock);
  Call& call_of(int rank, std::int64_t collective) {
    return shown(rank).calls[static_cast<std::size_t>(collective % ring_entries)];
  }
  std::int64_t arrive(const Call& call);
  void leave(std::int64_t collective);
  void wait_for_all_done(std::int64_t collective, const char* call);
  void pause();

  std::shared_ptr<LocalGroup::State> state_;
  int rank_;
  std::int64_t collective_ = 0;                                // the last one begun
  std::unordered_map<const void*, std::int64_t> last_reader_;  // exported address -> collective
  std::vector<int> held_;                                      // peers whose memory is being read; under the mutex
  Random random_;
  std::uint64_t pauses_ = 0;
  Traffic traffic_;
};

LocalCommunicator::LocalCommunicator(std::shared_ptr<LocalGroup::State> state, int rank)
    : state_(std::move(state)), rank_(rank), random_(state_->options.seed, "pauses of rank " + std::to_string(rank)) {}

/// A peer's memory of one collective, from its arrival until the end of the scope.
class LocalCommunicator::Reading {
 public:
  Reading(LocalCommunicator& own, int peer, std::int64_t collective) : own_(&own), peer_(peer) {
    Lock lock(own.state_->mutex);
    const Call mine = own.call_of(own.rank_, collective);
    Shown& shown = own.shown(peer);
    own.wait(lock, mine.name, peer, [&] { return shown.arrived >= collective && !shown.withdrawn; });
    const Call& theirs = own.call_of(peer, collective);
    if (!agrees(mine, theirs)) {
      own.withdraw(lock);
      throw Error(ErrorKind::comm,
                  fmt::format("collective {} is {} of {} bytes on rank {} and {} of {} bytes on rank {}", collective,
                              mine.name, mine.bytes, own.rank_, theirs.name, theirs.bytes, peer));
    }
    memory_ = static_cast<const std::byte*>(theirs.memory);
    ++shown.readers;
    own.held_.push_back(peer);
  }
  Reading(Reading&& other) noexcept
      : own_(std::exchange(other.own_, nullptr)), peer_(other.peer_), memory_(other.memory_) {}
  ~Reading() {
    if (!own_) return;
    const Lock lock(own_->state_->mutex);
    own_->let_go(peer_);
  }
  const std::byte* memory() const { return memory_; }

 private:
  LocalCommunicator* own_;
  int peer_;
  const std::byte* memory_;
};

// Under the mutex. Does nothing for a reading that withdraw() has ended.
void LocalCommunicator::let_go(int peer) {
  const auto held = std::find(held_.begin(), held_.end(), peer);
  if (held == held_.end()) return;
  held_.erase(held);
  if (--shown(peer).readers == 0 && shown(peer).withdrawn) state_->changed.notify_all();
}

// Before an error frees this rank's memory, whoever reads it finishes. This rank reads no more: were it to hold on to
// peers that withdraw, too, they would wait for each other.
void LocalCommunicator::withdraw(Lock& lock) {
  while (!held_.empty()) let_go(held_.back());
  shown(rank_).withdrawn = true;
  state_->changed.wait(lock, [&] { return shown(rank_).readers == 0; });
}

template <typename Ready>
void LocalCommunicator::wait(Lock& lock, const char* call, int peer, Ready ready) {
  const auto deadline = std::chrono::duration<double>(state_->options.deadline_s);
  const bool came = state_->changed.wait_for(lock, deadline, [&] { return state_->aborted || ready(); });
  const bool aborted = state_->aborted;
  if (came && !aborted) return;
  withdraw(lock);
  require(!aborted, ErrorKind::comm, "rank {} gave up {} of collective {}: the run was aborted", rank_, call,
          collective_);
  throw Error(ErrorKind::comm, fmt::format("rank {} waited {} s in {} of collective {} for rank {}", rank_,
                                           state_->options.deadline_s, call, collective_, peer));
}

// Shows peers the memory that they may read, and returns the number of the collective.
std::int64_t LocalCommunicator::arrive(const Call& call) {
  const std::int64_t n = ++collective_;
  Lock lock(state_->mutex);
  for (int peer = 0; peer < size(); ++peer)
    wait(lock, call.name, peer, [&] { return shown(peer).done + ring_entries >= n || peer == rank_; });
  call_of(rank_, n) = call;
  shown(rank_).arrived = n;
  if (call.memory) last_reader_[call.memory] = n;
  state_->changed.notify_all();
  return n;
}

void LocalCommunicator::leave(std::int64_t collective) {
  const Lock lock(state_->mutex);
  shown(rank_).done = collective;
  state_->changed.notify_all();
}

void LocalCommunicator::wait_for_all_done(std::int64_t collective, const char* call) {
  Lock lock(state_->mutex);
  for (int peer = 0; peer < size(); ++peer)
    wait(lock, call, peer, [&] { return shown(peer).done >= collective || peer == rank_; });
}

void LocalCommunicator::pause() {
  if (state_->options.max_delay_us <= 0) return;
  const auto us = random_.below(pauses_++, static_cast<std::uint64_t>(state_->options.max_delay_us) + 1);
  std::this_thread::sleep_for(std::chrono::microseconds(us));
}

void LocalCommunicator::gather(const Gather& gather) {
  const FlatRange& range = gather.range;
  const Bytes width = size_bytes(gather.slice.type);
  const std::int64_t n = arrive({"gather", range, range.elems * width, gather.slice.data});
  for (int i = 0; i < gather.slices(size()) && !gather.full.empty(); ++i) {
    const FlatRange part = range.owned_by(i);
    if (part.elems == 0) continue;
    const Reading slice(*this, gather.holder(i), n);
    pause();
    count(gather.holder(i), part.elems * width);
    std::memcpy(static_cast<std::byte*>(gather.full.data) + (part.begin - range.begin) * width,
                slice.memory() + (part.begin - i * range.slice_elems) * width,
                static_cast<std::size_t>(part.elems * width));
  }
  leave(n);
}

void LocalCommunicator::reduce(const Reduce& reduce) {
  ensure(!reduce.from.empty(), "a reduce without contributions");
  const Bytes width = size_bytes(reduce.wire);
  const std::int64_t n = arrive({"reduce", reduce.range, reduce.range.elems * width, reduce.gradient.data});
  const FlatRange own = reduce.range.owned_by(rank_);
  if (own.elems > 0) {
    std::vector<Reading> readings;
    std::vector<ConstView> pieces;
    for (int peer : reduce.from) {
      const std::byte* gradient = readings.emplace_back(*this, peer, n).memory();
      require(gradient != nullptr, ErrorKind::comm, "rank {} brought no gradient to collective {}", peer, n);
      pause();
      count(peer, own.elems * width);
      pieces.emplace_back(gradient + (own.begin - reduce.range.begin) * width, reduce.wire, own.elems);
    }
    ordered_add({.accumulator = reduce.accumulator, .pieces = pieces, .store_first = !reduce.accumulate});
  }
  leave(n);
}

void LocalCommunicator::release(const void* exported) {
  const auto found = last_reader_.find(exported);
  if (found == last_reader_.end()) return;
  wait_for_all_done(found->second, "release");
  last_reader_.erase(found);
}

void LocalCommunicator::all_reduce(std::span<std::int64_t> sums) {
  ensure(sums.size() <= most_sums, "an all_reduce of {} values; at most {}", sums.size(), most_sums);
  std::array<std::int64_t, most_sums> total{};
  const std::int64_t n = arrive({"all_reduce", {}, static_cast<Bytes>(sums.size_bytes()), sums.data()});
  for (int peer = 0; peer < size(); ++peer) {
    const Reading reading(*this, peer, n);
    const auto* values = reinterpret_cast<const std::int64_t*>(reading.memory());
    for (std::size_t i = 0; i < sums.size(); ++i) total[i] += values[i];
  }
  leave(n);
  wait_for_all_done(n, "all_reduce");
  std::copy_n(total.begin(), sums.size(), sums.begin());
  last_reader_.erase(sums.data());
}

void LocalCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  const std::int64_t n = arrive({"broadcast", {}, static_cast<Bytes>(bytes.size()), bytes.data()});
  if (root != rank_ && !bytes.empty()) {
    const Reading source(*this, root, n);
    std::memcpy(bytes.data(), source.memory(), bytes.size());
  }
  leave(n);
  if (root == rank_) wait_for_all_done(n, "broadcast");
  last_reader_.erase(bytes.data());
}

void LocalCommunicator::send(std::span<const std::byte> bytes, int to) {
  const Lock lock(state_->mutex);
  state_->mail[{rank_, to}].emplace_back(bytes.begin(), bytes.end());
  state_->changed.notify_all();
}

void LocalCommunicator::receive(std::span<std::byte> bytes, int from) {
  Lock lock(state_->mutex);
  auto& letters = state_->mail[{from, rank_}];
  wait(lock, "receive", from, [&] { return !letters.empty(); });
  require(letters.front().size() == bytes.size(), ErrorKind::comm,
          "rank {} expected {} bytes from rank {}, which sent {}", rank_, bytes.size(), from, letters.front().size());
  std::copy(letters.front().begin(), letters.front().end(), bytes.begin());
  letters.pop_front();
}

void LocalCommunicator::barrier() {
  const std::int64_t n = arrive({.name = "barrier"});
  for (int peer = 0; peer < size(); ++peer) const Reading arrival(*this, peer, n);
  leave(n);
}

void LocalCommunicator::abort() {
  const Lock lock(state_->mutex);
  state_->aborted = true;
  state_->changed.notify_all();
}

}  // namespace

LocalGroup::LocalGroup(int size, const LocalOptions& options) : state_(std::make_shared<State>(size, options)) {}

LocalGroup::~LocalGroup() = default;

std::unique_ptr<Communicator> LocalGroup::rank(int rank) { return std::make_unique<LocalCommunicator>(state_, rank); }

}  // namespace trireme
