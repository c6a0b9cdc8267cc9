#pragma once

#include <span>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Orders a schedule behind the one that ran before it, whichever it was.
///
/// In    `streams`: those that any schedule of the run has ops on.
/// Out   the first op of each stream reads the persistent tokens that the last ops of the others wrote in the schedules
///       before (`end.compute`, `end.comm`, ...); the last op of each stream writes its own. Behind a stream's end may
///       stand, and run on while the next schedule begins: what writes carried buffers, and on io what touches no step
///       buffer. Whoever needs that has events or tokens of its own.
///       A schedule that no carried buffer enters (`fenced`) starts with a comm op, and the other streams wait for
///       that: by then the comm stream is done with what an earlier step carried.
Schedule add_boundary(Schedule schedule, std::span<const StreamId> streams, bool fenced);

}  // namespace trireme
