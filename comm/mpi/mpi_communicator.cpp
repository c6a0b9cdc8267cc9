#include "comm/mpi/mpi_communicator.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "comm/mpi/message_engine.h"
#include "comm/mpi/node_setup.h"
#include "runtime/kernels/copy.h"
#include "runtime/kernels/ordered_add.h"

namespace trireme {
namespace {

// MPI promises tags up to 32767. The order of messages alone matches them; a number of the collective in the tag turns
// ranks that disagree about what comes next into a wait that ends, instead of wrong values.
constexpr int tag_range = 16384;

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MPI_Comm group, const MpiOptions& options, StatusPage* page, NodeSetup node);

  int rank() const override { return engine_.rank(); }
  int size() const override { return engine_.size(); }
  int node_of(int rank) const override { return node_of_[static_cast<std::size_t>(rank)]; }
  void share(const SharedMemory& memory) override;
  void gather(const Gather& gather) override;
  void reduce(const Reduce& reduce) override;
  void release(const void* exported) override;
  void all_reduce(std::span<std::int64_t> sums) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  void send(std::span<const std::byte> bytes, int to) override;
  void receive(std::span<std::byte> bytes, int from) override;
  void barrier() override;
  void progress() override { engine_.progress(); }
  bool needs_progress() const override { return size() > 1 && !(sharing() && one_node_); }
  std::size_t take_waits(std::span<WaitInterval> into) override { return node_ ? node_->take_waits(into) : 0; }
  Traffic traffic() const override { return traffic_; }
  void abort() override { engine_.abort(); }

 private:
  int next_tag() { return static_cast<int>(collective_++ % tag_range); }
  /// Of the messages of one pair in one direction.
  static int next_tag(unsigned& count) { return tag_range + static_cast<int>(count++ % (tag_range - 1)); }
  /// Whether exports are read in place on this node.
  bool sharing() const { return node_ && node_->is_sharing(); }
  /// Whether this rank and `peer` read each other's memory.
  bool in_place(int peer) const { return sharing() && node_of(peer) == node_of(rank()); }
  bool needs_message(int peer) const { return peer != rank() && !in_place(peer); }
  void post_slices(const Gather& gather, int tag);
  void copy_slices(const Gather& gather);
  void post_pieces(const Reduce& reduce, int tag);
  void find_pieces(const Reduce& reduce);
  /// Runs what waits for this node while messages are under way into memory that an error may free.
  template <typename Read>
  void read_in_place(Read read);

  MessageEngine engine_;
  std::vector<int> node_of_;
  bool one_node_ = true;              // all ranks share
  std::optional<NodeExchange> node_;  // where there is anybody to share with
  unsigned collective_ = 0;
  std::vector<unsigned> sent_, received_;  // by peer
  std::vector<ConstView> pieces_;          // of a reduce, in adding order
  Traffic traffic_;
  std::array<std::int64_t, most_sums> sums_{};
};

const std::byte* at(const void* data, Bytes offset_bytes) { return static_cast<const std::byte*>(data) + offset_bytes; }
std::byte* at(void* data, Bytes offset_bytes) { return static_cast<std::byte*>(data) + offset_bytes; }

MpiCommunicator::MpiCommunicator(MPI_Comm group, const MpiOptions& options, StatusPage* page, NodeSetup node)
    : engine_(group, options, page),
      node_of_(std::move(node.node_of)),
      sent_(static_cast<std::size_t>(engine_.size())),
      received_(sent_) {
  for (int peer = 0; peer < size(); ++peer) one_node_ &= node_of(peer) == node_of(rank());
  if (node.board)
    node_.emplace(std::move(*node.board), std::move(node.peers), engine_.limits(),
                  [this] { return engine_.progress(); });
}

void MpiCommunicator::share(const SharedMemory& memory) {
  if (node_) node_->share(memory);
}

template <typename Read>
void MpiCommunicator::read_in_place(Read read) {
  try {
    read();
  } catch (...) {
    engine_.drop_receives();
    throw;
  }
}

void MpiCommunicator::post_slices(const Gather& gather, int tag) {
  const FlatRange& range = gather.range;
  const int own_slice = gather.slice_of(rank());
  const FlatRange own = range.owned_by(own_slice);
  const Bytes width = size_bytes(gather.slice.type);
  for (int i = 0; i < gather.slices(size()) && !gather.full.empty(); ++i) {
    const FlatRange part = range.owned_by(i);
    if (const int peer = gather.holder(i); needs_message(peer)) {
      engine_.receive(at(gather.full.data, (part.begin - range.begin) * width), part.elems * width, peer, tag);
      traffic_.messages += part.elems * width;
    }
  }
  if (own.elems == 0) return;
  const std::byte* mine = at(gather.slice.data, (own.begin - own_slice * range.slice_elems) * width);
  for (int peer : gather.to)
    if (needs_message(peer)) engine_.send(mine, own.elems * width, peer, tag, gather.slice.data);
}

// What lies in this rank's memory and in that of its node.
void MpiCommunicator::copy_slices(const Gather& gather) {
  const FlatRange& range = gather.range;
  const Bytes width = size_bytes(gather.slice.type);
  const int slices = gather.slices(size());
  for (int i = 0; i < slices && !gather.full.empty(); ++i) {
    const int number = (gather.slice_of(rank()) + i) % slices;  // each rank starts with another one
    const int peer = gather.holder(number);
    const FlatRange part = range.owned_by(number);
    if (part.elems == 0 || needs_message(peer)) continue;
    const void* slice = peer == rank() ? gather.slice.data : node_->slice_of(peer);
    copy_bytes(at(gather.full.data, (part.begin - range.begin) * width),
               at(slice, (part.begin - number * range.slice_elems) * width), part.elems * width);
    if (peer != rank()) traffic_.in_place += part.elems * width;
  }
}

void MpiCommunicator::gather(const Gather& gather) {
  const int tag = next_tag();
  if (sharing()) node_->begin(NodeCall::gather, gather.range, gather.slice.type, gather.slice);
  post_slices(gather, tag);
  read_in_place([&] { copy_slices(gather); });
  if (sharing()) node_->finish();
  engine_.finish_receives("gather");
}

void MpiCommunicator::post_pieces(const Reduce& reduce, int tag) {
  if (reduce.gradient.empty()) return;
  const Bytes width = size_bytes(reduce.wire);
  for (int i = 1; i < size(); ++i) {
    const int peer = (rank() + i) % size();  // each rank starts with another one
    const FlatRange part = reduce.range.owned_by(peer);
    if (needs_message(peer))
      engine_.send(at(reduce.gradient.data, (part.begin - reduce.range.begin) * width), part.elems * width, peer, tag,
                   reduce.gradient.data);
  }
}

// The contributions of this node, once they are there, among those under way to `staging`.
void MpiCommunicator::find_pieces(const Reduce& reduce) {
  const FlatRange own = reduce.range.owned_by(rank());
  const Bytes offset = (own.begin - reduce.range.begin) * size_bytes(reduce.wire);
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    if (const int peer = reduce.from[i]; peer != rank() && in_place(peer))
      pieces_[i].data = at(static_cast<const void*>(node_->gradient_of(peer)), offset);
}

void MpiCommunicator::reduce(const Reduce& reduce) {
  ensure(!reduce.from.empty(), "a reduce without contributions");
  const int tag = next_tag();
  if (sharing()) node_->begin(NodeCall::reduce, reduce.range, reduce.wire, reduce.gradient);
  const Bytes width = size_bytes(reduce.wire);
  const FlatRange own = reduce.range.owned_by(rank());
  pieces_.clear();
  Elems staged = 0;
  for (int peer : reduce.from) {
    if (own.elems == 0) break;
    if (peer == rank()) {
      pieces_.emplace_back(at(reduce.gradient.data, (own.begin - reduce.range.begin) * width), reduce.wire, own.elems);
      continue;
    }
    if (in_place(peer)) {
      pieces_.emplace_back(nullptr, reduce.wire, own.elems);
      traffic_.in_place += own.elems * width;
      continue;
    }
    ensure(reduce.staging.bytes() >= (staged + own.elems) * width,
           "staging of {} bytes is too small for {} contributors", reduce.staging.bytes(), reduce.from.size());
    std::byte* piece = at(reduce.staging.data, staged * width);
    engine_.receive(piece, own.elems * width, peer, tag);
    traffic_.messages += own.elems * width;
    pieces_.emplace_back(piece, reduce.wire, own.elems);
    staged += own.elems;
  }
  post_pieces(reduce, tag);
  read_in_place([&] { find_pieces(reduce); });
  engine_.finish_receives("reduce");
  if (own.elems > 0)
    ordered_add({.accumulator = reduce.accumulator, .pieces = pieces_, .store_first = !reduce.accumulate});
  if (sharing()) node_->finish();
}

void MpiCommunicator::release(const void* exported) {
  engine_.finish_sends(exported, "release");
  if (sharing()) node_->release(exported);
}

// Through the boards of one node; between nodes up a binomial tree to rank 0 and down again: 2 log2(size) messages
// deep, any size.
void MpiCommunicator::all_reduce(std::span<std::int64_t> sums) {
  if (node_ && one_node_) return node_->all_reduce(sums);
  ensure(sums.size() <= most_sums, "an all_reduce of {} values; at most {}", sums.size(), most_sums);
  const int tag = next_tag();
  const auto bytes = static_cast<Bytes>(sums.size_bytes());
  for (int distance = 1; distance < size(); distance *= 2) {
    if (rank() & distance) {
      engine_.send(sums.data(), bytes, rank() - distance, tag, sums.data());
      break;
    }
    if (rank() + distance >= size()) continue;
    engine_.receive(sums_.data(), bytes, rank() + distance, tag);
    engine_.finish_receives("all_reduce");
    std::transform(sums.begin(), sums.end(), sums_.begin(), sums.begin(), std::plus<>());
  }
  engine_.finish_sends(sums.data(), "all_reduce");
  broadcast(std::as_writable_bytes(sums), 0);
}

void MpiCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  const int tag = next_tag();
  const int place = (rank() - root + size()) % size();  // in the tree, with the root at 0
  const auto peer = [&](int other) { return (other + root) % size(); };
  int distance = 1;
  while (distance < size() && !(place & distance)) distance *= 2;
  if (place != 0) engine_.receive(bytes.data(), static_cast<Bytes>(bytes.size()), peer(place - distance), tag);
  engine_.finish_receives("broadcast");
  for (distance /= 2; distance > 0; distance /= 2)
    if (place + distance < size())
      engine_.send(bytes.data(), static_cast<Bytes>(bytes.size()), peer(place + distance), tag, bytes.data());
  engine_.finish_sends(bytes.data(), "broadcast");
}

void MpiCommunicator::send(std::span<const std::byte> bytes, int to) {
  engine_.send(bytes.data(), static_cast<Bytes>(bytes.size()), to, next_tag(sent_[static_cast<std::size_t>(to)]),
               bytes.data());
  engine_.finish_sends(bytes.data(), "send");
}

void MpiCommunicator::receive(std::span<std::byte> bytes, int from) {
  engine_.receive(bytes.data(), static_cast<Bytes>(bytes.size()), from,
                  next_tag(received_[static_cast<std::size_t>(from)]));
  engine_.finish_receives("receive");
}

void MpiCommunicator::barrier() {
  std::int64_t nothing = 0;
  all_reduce({&nothing, 1});
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm world, const MpiOptions& options, StatusPage* page) {
  MPI_Comm group = MPI_COMM_NULL;
  mpi_check(MPI_Comm_dup(world, &group), "MPI_Comm_dup");
  mpi_check(MPI_Comm_set_errhandler(group, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return std::make_unique<MpiCommunicator>(group, options, page, set_up_node(group, options));
}

}  // namespace trireme
