#pragma once

#include "runtime/schedule/schedule.h"
#include "shard/mesh.h"

namespace trireme {

/// Bytes that a rank takes from other ranks in a schedule, by kind and by where those are.
struct PlannedTraffic {
  struct Taken {
    Bytes node = 0, elsewhere = 0;  // from ranks whose memory it reads; from others
    Bytes total() const { return node + elsewhere; }
  };
  Taken gathers, reduces;

  Bytes node() const { return gathers.node + reduces.node; }
  Bytes elsewhere() const { return gathers.elsewhere + reduces.elsewhere; }
};

/// What the gathers and reduces of a schedule bring to its rank. Small sums are left out.
PlannedTraffic planned_traffic(const Schedule& schedule, const NodeLayout& nodes);

}  // namespace trireme
