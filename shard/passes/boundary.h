#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Orders a schedule behind the one that ran before it, whichever it was.
///
/// Out   the first op of each stream reads a persistent token that the last op of the other stream wrote in the
///       schedules before (`end.compute`, `end.comm`); the last op of each stream writes its own. Gathers into
///       carried buffers stand behind the end of comm: they may run on while the next step begins.
///       A schedule that no carried buffer enters (`fenced`) starts with a comm op, and its compute waits for that:
///       by then the comm stream is done with what an earlier step carried.
Schedule add_boundary(Schedule schedule, bool fenced);

}  // namespace trireme
