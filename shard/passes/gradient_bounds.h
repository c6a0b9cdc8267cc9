#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Places the releases of exported buffers, and bounds how many gradients are alive.
///
/// In      reduces that stand behind the op that completes their gradient. Gradients written by one op, or rounded
///         from what one op wrote, form a group (the head's own and its tied tensor).
/// Out     a gradient's release stands on comm directly before the reduces of the next group; the last group's stand
///         behind the all-reduce. The first op that writes group n reads a token which the release of group n - 2
///         writes: two groups are alive at most (not where `bounded` is false: gradients that are persistent need no
///         bound). The releases of the parameter slices stand together behind the
///         all-reduce, before the first update, so that no update waits for the gather of another unit. Slices whose
///         release stands in the schedule already have none here.
Schedule bound_gradients(Schedule schedule, bool bounded);

}  // namespace trireme
