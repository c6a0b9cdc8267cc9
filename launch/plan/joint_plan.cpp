#include "launch/plan/joint_plan.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "comm/agreement.h"
#include "launch/plan/common_collectives.h"
#include "launch/plan/memory_limit.h"
#include "launch/plan/process_limits.h"
#include "launch/plan/process_memory.h"
#include "launch/plan/rank_plan.h"
#include "launch/plan/remainder.h"

namespace trireme {
namespace {

/// Of one rank, for the sum of its node. Nodes are told apart by their first rank: two containers may have one host
/// name.
struct NodeShare {
  int node_first_rank = 0;
  Bytes bytes = 0;
};

class JointPlanner {
 public:
  JointPlanner(const MpiRun& mpi, Communicator& communicator, const TrainerSettings& settings)
      : mpi_(mpi), communicator_(communicator), settings_(settings) {}

  JointPlan plan() {
    plan_programs_together();
    check_memory();
    check_process_limits();
    return std::move(plan_);
  }

 private:
  Bytes node_sum(Bytes own_bytes);
  void plan_programs_together();
  void check_memory();
  void check_process_limits();
  [[noreturn]] void refuse(const Error& error, const MemoryLimits& limits);

  const MpiRun& mpi_;
  Communicator& communicator_;
  const TrainerSettings& settings_;
  JointPlan plan_;
  Bytes building_bytes_ = 0;
};

Bytes JointPlanner::node_sum(Bytes own_bytes) {
  const NodeShare own{.node_first_rank = mpi_.node_first_rank(), .bytes = own_bytes};
  Bytes node = 0;
  for (const NodeShare& share : all_gather(communicator_, own))
    if (share.node_first_rank == own.node_first_rank) node += share.bytes;
  return node;
}

// Every rank proves the programs of all classes of ranks together, and that its own are what the others run; all of
// that within what its node has for it.
void JointPlanner::plan_programs_together() {
  // Asked before any rank builds: what a neighbour builds is not another's use of the node.
  const Bytes limit = on_all_ranks(communicator_, [&] { return building_limit_bytes(mpi_.node_size()); });
  const auto build_together = [&](const auto& build) {
    return on_all_ranks(communicator_, [&] { return build_within(limit, build); });
  };
  try {
    const Bytes proving = build_together([&] { prove_programs(settings_, mpi_.size()); });
    const Bytes planning = build_together([&] { plan_.own = plan_programs(settings_, mpi_.rank(), mpi_.size()); });
    building_bytes_ = std::max(proving, planning);
  } catch (const AgreedError& error) {
    if (error.kind() != ErrorKind::plan) throw;
    refuse(error, {.arena_bytes = settings_.device_memory, .heap_bytes = limit});
  }
  agree_on_collectives(communicator_, plan_.own.programs.run);
}

// The node's ranks against what the node has.
void JointPlanner::check_memory() {
  const int on_node = mpi_.node_size();
  const Remainder remainder = remainder_of(plan_.own.programs, on_node, settings_.threads);
  plan_.arena_bytes = plan_.own.plan.device.peak_bytes;
  plan_.process_bytes = plan_.arena_bytes + remainder.after_building(building_bytes_, plan_.arena_bytes).total();
  const Bytes node = node_sum(plan_.process_bytes) + on_node * room_bytes;
  const Bytes available = available_memory_bytes(node_sum(unbacked_process_bytes()));
  std::optional<Error> error;
  if (node > available)
    error = Error(
        ErrorKind::plan,
        fmt::format("the {} ranks of node {} need {}, {} a rank left free for the system among it, and it has "
                    "{} for them",
                    on_node, mpi_.node_name(), format_bytes(node), format_bytes(room_bytes), format_bytes(available)));
  try {
    agree_on_success(communicator_, error ? &*error : nullptr);
  } catch (const AgreedError& agreed) {
    refuse(agreed, {.arena_bytes = settings_.device_memory,
                    .process_bytes = available / on_node - room_bytes,
                    .heap_bytes = building_limit_bytes(on_node)});
  }
}

// What ulimit leaves of address space and data, before anything is taken of it. Peers' arenas are mapped whole, and are
// about as large as this rank's.
void JointPlanner::check_process_limits() {
  const int peers = sharing_peers(plan_.own.programs.spec);
  ProcessRoom room = threads_room(run_stream_count + settings_.threads - 1);
  room.address_bytes += plan_.arena_bytes * (1 + peers) + 4 * MiB;
  room.data_bytes += peers > 0 ? 0 : plan_.arena_bytes + 4 * MiB;
  on_all_ranks(communicator_, [&] {
    require_room(room, "what is planned for a rank (its arena, its threads and the arenas of its node that it maps)");
    return true;
  });
}

// One rank looks for a change that fits, within the memory that there is, and tells the others.
void JointPlanner::refuse(const Error& error, const MemoryLimits& limits) {
  plan_.own = {};
  const std::string change = mpi_.rank() == 0 ? fitting_change(settings_, mpi_.size(), mpi_.node_size(), limits) : "";
  throw AgreedError(ErrorKind::plan, fmt::format("{}; {}", error.what(), all_gather(communicator_, change).front()));
}

}  // namespace

JointPlan plan_together(const MpiRun& mpi, Communicator& communicator, const TrainerSettings& settings) {
  return JointPlanner(mpi, communicator, settings).plan();
}

int sharing_peers(const StepSpec& spec) {
  int peers = 0;
  for (int rank = 0; rank < spec.ranks(); ++rank) peers += rank != spec.rank && spec.nodes.share(rank, spec.rank);
  return peers;
}

}  // namespace trireme
