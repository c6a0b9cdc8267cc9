#pragma once
// What `trireme plan` prints: bytes of every class of ranks, by role, before anything runs.

#include <string>
#include <vector>

#include "launch/remainder.h"
#include "launch/trainer.h"
#include "shard/build_step.h"
#include "shard/planned_states.h"
#include "shard/planned_traffic.h"

namespace trireme {

/// The planned memory of one class of ranks.
struct RankPlan {
  RankClass ranks;
  ArenaPlan arena;
  std::string peak_op;  // in words
  Remainder remainder;  // what the arena does not hold
  PlannedStates states;
  PlannedTraffic wire;  // of a step
  Bytes load_bytes = 0;  // live in schedule load; 0 without one

  Bytes bytes() const { return arena.peak_bytes + remainder.total(); }
};

/// plan_run() within settings.device_memory. Errors: Error(plan) that also says which change would make it fit.
MemoryPlan plan_within_limit(const TrainerSettings& settings, int ranks, RunPrograms& run);

/// Builds, checks and plans one rank of every class, with `ranks_per_node` on a node; launches nothing.
/// Errors: Error(plan) where an arena is over settings.device_memory; Error(bug) from the checks.
std::vector<RankPlan> plan_ranks(const TrainerSettings& settings, int ranks, int ranks_per_node);

/// The first change that would bring every rank's arena within `limit_bytes`, as words. Tried in this order: recompute;
/// with recompute "block", more ranks; with it and the same ranks, smaller microbatches (which change the trajectory, and
/// are said to). Empty where none of those does.
std::string fitting_change(const TrainerSettings& settings, int ranks, Bytes limit_bytes);

/// Bytes that a node needs for `ranks_per_node` ranks, the largest ones first.
Bytes host_bytes_per_node(const std::vector<RankPlan>& plans, int ranks_per_node);

/// A table for people, and the JSON of the design for scripts.
std::string print_plan(const std::vector<RankPlan>& plans, int ranks_per_node);
std::string print_plan_json(const std::vector<RankPlan>& plans, int ranks_per_node);

}  // namespace trireme
