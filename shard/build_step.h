#pragma once
// The compiler's front door: a model and a rank's place in the run in, that rank's programs out.

#include <string_view>
#include <vector>

#include "runtime/schedule/plan/memory_plan.h"
#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// Which schedules a run has besides enter and step. In validate and sample every rank has a microbatch.
struct Programs {
  bool validate = false, sample = false, diagnose = false;
  Bytes load_staging_bytes = 0;  // above 0: load, from a model folder through so many bytes, instead of init
  std::string_view after;        // the last pass that runs (passes/pass_list.h): to look at; all of them, unless given
};

/// All schedules of one rank, in the order of their kinds. `enter` is there when something is carried.
struct RunPrograms {
  std::vector<Schedule> schedules;

  const Schedule* find(ScheduleKind kind) const;
};

/// Builds a rank's programs: each in compute order (shard/order), then through all passes (passes/pass_list.h).
///
/// In      sample_model: the model at one sequence per microbatch; needed for sample alone.
/// Cost    linear in layers x microbatches, in memory, too: beside what it returns at most twice the largest schedule.
RunPrograms build_run(const ModelSpec& model, const StepSpec& spec, const Programs& programs,
                      const ModelSpec* sample_model = nullptr);

/// Offsets for all schedules of a rank, written into them.
/// Errors: Error(plan) when the arena is larger than limit_bytes.
MemoryPlan plan_run(RunPrograms& run, Bytes limit_bytes);

}  // namespace trireme
