#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Moves every gather `distance` uses ahead of the use that reads it, and bounds it there.
///
/// In      gathers that stand directly before their use. A use is a run of ops that reads one gathered unit.
/// Out     the gathers of use k stand behind the last op of use k - distance - 1 and read a token which that op
///         writes; the first ones stand at the start. distance 0 is blocking order; it is cut to the number of uses.
///         With `carry` (a step, which another step follows) the gathers of the first `distance` uses leave the
///         start: they stand at the end, behind the updates of what they read, and write carried buffers.
Schedule prefetch(Schedule schedule, int distance, bool carry);

/// What `distance` is cut to in this schedule: one less than its uses.
int possible_distance(const Schedule& schedule, int distance);

/// The schedule that runs before a step which follows any other schedule: exactly the gathers that `step` carries.
/// Without ops when it carries none.
Schedule enter_of(const Schedule& step);

}  // namespace trireme
