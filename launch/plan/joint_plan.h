#pragma once
// The plan of a run by its own ranks: each proves all programs and plans its own, and the node's ranks are held against
// what the node has, before a page of an arena is taken.

#include "comm/bootstrap.h"
#include "launch/plan/rank_programs.h"

namespace trireme {

struct JointPlan {
  PlannedPrograms own;
  Bytes arena_bytes = 0;
  Bytes process_bytes = 0;  // arena and remainder
};

/// Collective; `settings` are equal on all ranks but for what is a rank's own.
/// Errors: AgreedError(plan) where it does not fit the arena's limit, the node or the limits of a process, with the
/// change that would make it fit; AgreedError(bug) from the checks.
JointPlan plan_together(const MpiRun& mpi, Communicator& communicator, const TrainerSettings& settings);

/// Other ranks that read this one's memory.
int sharing_peers(const StepSpec& spec);

}  // namespace trireme
