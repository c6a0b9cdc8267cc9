#pragma once
// What `trireme plan` prints: bytes of every class of ranks, by role, before anything runs.

#include <string>
#include <vector>

#include "launch/plan/rank_plan.h"

namespace trireme {

/// A table for people, and the JSON of the design for scripts.
std::string print_plan(const std::vector<RankPlan>& plans, int ranks_per_node);
std::string print_plan_json(const std::vector<RankPlan>& plans, int ranks_per_node);

}  // namespace trireme
