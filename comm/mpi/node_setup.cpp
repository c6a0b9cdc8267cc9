#include "comm/mpi/node_setup.h"

#include <algorithm>
#include <new>
#include <string>

#include "runtime/base/log.h"

namespace trireme {
namespace {

/// The ranks of this node as a communicator, while they are set up.
class NodeComm {
 public:
  NodeComm(MPI_Comm group, int ranks_per_node) {
    MPI_Comm_rank(group, &group_rank_);
    mpi_check(MPI_Comm_split_type(group, MPI_COMM_TYPE_SHARED, group_rank_, MPI_INFO_NULL, &comm_),
              "MPI_Comm_split_type");
    if (ranks_per_node > 0) cut(ranks_per_node);
    MPI_Comm_size(comm_, &size_);
  }
  NodeComm(const NodeComm&) = delete;
  NodeComm& operator=(const NodeComm&) = delete;
  ~NodeComm() { MPI_Comm_free(&comm_); }

  /// What each rank of the node brings, in order of ranks.
  template <typename Value>
  std::vector<Value> all_gather(const Value& mine) const {
    std::vector<Value> all(static_cast<std::size_t>(size_));
    mpi_check(MPI_Allgather(&mine, sizeof(Value), MPI_BYTE, all.data(), sizeof(Value), MPI_BYTE, comm_),
              "MPI_Allgather");
    return all;
  }
  int group_rank() const { return group_rank_; }
  int size() const { return size_; }

 private:
  void cut(int ranks_per_node) {
    MPI_Comm whole = comm_;
    int rank = 0;
    MPI_Comm_rank(whole, &rank);
    mpi_check(MPI_Comm_split(whole, rank / ranks_per_node, rank, &comm_), "MPI_Comm_split");
    MPI_Comm_free(&whole);
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int group_rank_ = 0, size_ = 0;
};

// Why this rank cannot share with its node; empty where it can, and then `setup` holds what it shares.
std::string meet(const NodeComm& node, bool share, NodeSetup& setup) {
  const std::vector<int> ranks = node.all_gather(node.group_rank());
  SharedFile mine;
  std::string reason;
  try {
    if (share) {
      setup.board.emplace(static_cast<Bytes>(sizeof(Board)), Pages::shared);
      new (setup.board->data()) Board;
      mine = name_file(setup.board->file());
    }
  } catch (const Error& error) {
    reason = error.what();
  }
  const std::vector<SharedFile> files = node.all_gather(mine);
  if (!share) return "memory.share is false";
  if (!reason.empty()) return reason;
  try {
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (ranks[i] == node.group_rank()) continue;
      require(files[i].bytes >= static_cast<Bytes>(sizeof(Board)), ErrorKind::comm, "rank {} shares nothing", ranks[i]);
      setup.peers.push_back({.rank = ranks[i], .board = SharedMapping(files[i], FileAccess::write), .memory = {}});
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Whether all ranks of the node can share. Where not, and some would like to, the first that cannot says why.
bool agree_to_share(const NodeComm& node, bool share, const std::string& refusal) {
  struct Vote {
    int rank, wants, can;
  };
  const std::vector<Vote> votes = node.all_gather(Vote{node.group_rank(), share, refusal.empty()});
  const auto cannot = std::find_if(votes.begin(), votes.end(), [](const Vote& vote) { return !vote.can; });
  const bool wanted = std::any_of(votes.begin(), votes.end(), [](const Vote& vote) { return vote.wants; });
  if (cannot != votes.end() && wanted && cannot->rank == node.group_rank())
    say(fmt::format("the {} ranks of a node exchange messages instead of reading each other's memory: rank {}: {}",
                    node.size(), node.group_rank(), refusal));
  return cannot == votes.end();
}

}  // namespace

NodeSetup set_up_node(MPI_Comm group, const MpiOptions& options) {
  NodeSetup setup;
  const NodeComm node(group, options.ranks_per_node);
  const bool share = options.share && node.size() > 1;
  const std::string refusal = meet(node, share, setup);
  int own = node.group_rank();
  if (agree_to_share(node, share, refusal)) {
    own = std::min(own, setup.peers.front().rank);
  } else {
    setup.board.reset();
    setup.peers.clear();
  }
  int size = 0;
  MPI_Comm_size(group, &size);
  setup.node_of.resize(static_cast<std::size_t>(size));
  mpi_check(MPI_Allgather(&own, 1, MPI_INT, setup.node_of.data(), 1, MPI_INT, group), "MPI_Allgather");
  return setup;
}

}  // namespace trireme
