#pragma once
// When the buffers of one schedule are alive, and how much is alive at once.

#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme::planning {

/// A point of time in a schedule: 2 i + 1 is compute op number i, even ones lie between two of them; 0 is the start.
using Moment = std::int32_t;

/// A range of time, both ends included.
struct Interval {
  Moment first = 0, last = 0;
};

/// One stretch of time in which a buffer holds bytes.
struct Life {
  BufferId buffer = 0;
  Interval interval;
};

struct Liveness {
  Moment moments = 0;                  // times are 0 .. moments - 1
  std::vector<Interval> op_intervals;  // by op: when it may run
  std::vector<Life> lives;             // of step and carried buffers with bytes, in order of buffers
};

/// In      a schedule that passed check().
/// Promise two lives of different buffers that do not intersect: the last use of one happens-before the first of the
///         other. A step buffer has one life, from its first to its last use; a carried one up to two: from the start
///         to the last use before it is written anew, and from that write to the end.
Liveness find_liveness(const Schedule& schedule);

}  // namespace trireme::planning
