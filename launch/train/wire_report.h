#pragma once
// The end of a run: what was planned to cross between ranks, and what did. Pure.

#include <span>
#include <string>

#include "comm/traffic.h"
#include "shard/planned_traffic.h"

namespace trireme {

/// One rank's.
struct RankWire {
  PlannedTraffic step;        // of one step
  Traffic planned, measured;  // of the whole run
};

/// A line for a step and one for the run, summed over the ranks; a warning where the two differ. Small sums are left
/// out.
std::string print_wire(std::span<const RankWire> ranks);

}  // namespace trireme
