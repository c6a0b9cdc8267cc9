#pragma once

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// ZeRO stages 0, 1 and 2: more of the run is held whole by every rank, and less is gathered.
///
/// In   a schedule in compute order, written for stage 3: slices of everything, a gather before each use.
/// Out  stages 1, 2: persistent `params` hold the parameters whole. Gathers before uses are gone; one behind each
/// update
///      (and init) fills `params` from the new slices, which live no longer than that.
///      stage 0: masters and optimizer states are whole, too. The f32 sums of the gradients are gathered before each
///      update, and every rank updates everything. stages 0, 1: the gradients that are reduced are persistent and
///      whole.
/// Source  Rajbhandari et al. 2020 (arXiv 1910.02054).
Schedule zero_stage(Schedule schedule, const ModelSpec& model, const StepSpec& spec);

}  // namespace trireme
