#pragma once
// The end of a run: what was planned and what was held. Pure.

#include <span>
#include <string>

#include "runtime/base/units.h"

namespace trireme {

/// One rank's process: its arena and remainder, and its peak.
struct RankMemory {
  int node_first_rank = 0;  // tells nodes of one name apart
  std::string node;
  Bytes planned_bytes = 0, measured_bytes = 0;
};

/// How far ranks may be from their plan together: 2% of what they held, and 32 MiB each.
Bytes plan_tolerance_bytes(Bytes measured_bytes, int ranks);

/// A line for the rank and one for the node that are farthest from their plan, and a warning for each node that is
/// beyond its tolerance. Ranks of a node share pages, so the sums of nodes are what counts. Needs a rank.
std::string print_memory(std::span<const RankMemory> ranks);

}  // namespace trireme
