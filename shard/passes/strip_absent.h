#pragma once

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"

namespace trireme {

/// Takes from a schedule what this rank has not: compute of microbatches beyond the last one, the `full` of a gather
/// and the gradient of a reduce where the rank is not in their lists, releases and tokens that nothing writes any
/// more, and buffers that nothing uses. Every collective stays: all ranks of a group execute all of them.
Schedule strip_absent(Schedule schedule, const StepSpec& spec);

}  // namespace trireme
