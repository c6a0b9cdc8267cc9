#pragma once
// The memory of every class of ranks, planned before anything runs, and the change that would make a run fit.

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "launch/plan/rank_programs.h"
#include "launch/plan/remainder.h"
#include "shard/planned_states.h"
#include "shard/planned_traffic.h"

namespace trireme {

/// The planned memory of one class of ranks.
struct RankPlan {
  RankClass ranks;
  ArenaPlan arena;
  std::string peak_op;  // in words
  // of the heap, at its peak while programs are built, proved and planned: before the arena is there
  Bytes building_bytes = 0;
  Remainder remainder;  // what the arena does not hold
  PlannedStates states;
  PlannedTraffic wire;   // of a step
  Bytes load_bytes = 0;  // live in schedule load; 0 without one

  /// The most that the rank's process holds.
  Bytes bytes() const { return arena.peak_bytes + remainder.total(); }
};

/// "rank 3", "4 ranks like rank 0".
std::string describe(const RankClass& ranks);

/// What a rank may hold: its arena, its whole process, and the heap of the process that plans.
struct MemoryLimits {
  Bytes arena_bytes = std::numeric_limits<Bytes>::max();
  Bytes process_bytes = std::numeric_limits<Bytes>::max();
  Bytes heap_bytes = std::numeric_limits<Bytes>::max();
};

/// Calls `build` and returns what it held of the heap at its peak.
/// Errors: those of `build`; Error(plan) where it would hold more than `limit_bytes`.
Bytes build_within(Bytes limit_bytes, const std::function<void()>& build);

/// Plans one rank of every class as the ranks of a run do, with `ranks_per_node` on a node; launches nothing, and holds
/// at most limits.heap_bytes for it. Errors: Error(plan) where a limit is passed; Error(bug) from the checks.
std::vector<RankPlan> plan_ranks(const TrainerSettings& settings, int ranks, int ranks_per_node,
                                 const MemoryLimits& limits = {});

/// The first change that would bring every rank within the limits, as words for the end of a sentence. Tried in this
/// order: recompute; with recompute "block", more ranks; with it and the same ranks, smaller microbatches (which change
/// the trajectory, and are said to). Where those fail, or would take too long to try, it says what is left to do.
std::string fitting_change(const TrainerSettings& settings, int ranks, int ranks_per_node, const MemoryLimits& limits);

/// Bytes that a node needs for `ranks_per_node` ranks, the largest ones first.
Bytes host_bytes_per_node(const std::vector<RankPlan>& plans, int ranks_per_node);

}  // namespace trireme
