#pragma once

#include <optional>
#include <vector>

#include "comm/mpi/mpi_check.h"
#include "comm/mpi/mpi_options.h"
#include "comm/node/node_exchange.h"

namespace trireme {

/// Which ranks of a group read each other's memory.
struct NodeSetup {
  std::vector<int> node_of;  // by rank: the lowest rank of its node; of ranks that share nothing, the rank itself
  std::optional<cpu::Arena> board;  // this rank's, where it shares with anybody
  std::vector<NodePeer> peers;      // by ascending rank
};

/// Finds the ranks that MPI_COMM_TYPE_SHARED brings together and lets all of them map each other's boards. Where one of
/// a node cannot, none of that node shares, and one of them says why. Collective.
NodeSetup set_up_node(MPI_Comm group, const MpiOptions& options);

}  // namespace trireme
