#pragma once

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// Behind every op that makes values, a `check_finite` of them: gathered parameters, activations, gradients and their
/// sums, and behind the head the loss. What forward saves for backward is not looked at; it shows in what backward
/// makes of it.
Schedule add_checks(Schedule schedule, const ModelSpec& model, const StepSpec& spec);

}  // namespace trireme
