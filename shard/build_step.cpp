#include "shard/build_step.h"

#include <utility>

#include "runtime/base/error.h"
#include "shard/passes/add_checks.h"
#include "shard/passes/boundary.h"
#include "shard/passes/compute_order.h"
#include "shard/passes/derive_events.h"
#include "shard/passes/gradient_bounds.h"
#include "shard/passes/node_shard.h"
#include "shard/passes/prefetch.h"
#include "shard/passes/recompute.h"
#include "shard/passes/strip_absent.h"
#include "shard/passes/zero_stage.h"

namespace trireme {
namespace {

Schedule finish(Schedule schedule, const StepSpec& spec, bool fenced) {
  schedule = derive_events(add_boundary(strip_absent(std::move(schedule), spec), fenced));
  schedule.buffers.shrink_to_fit();
  schedule.ops.shrink_to_fit();
  return schedule;
}

// What each rank holds, and what it gathers.
Schedule lay_out(Schedule schedule, const ModelSpec& model, const StepSpec& spec) {
  if (spec.zero < 3) return zero_stage(std::move(schedule), model, spec);
  return spec.node_ranks > 0 ? node_shard(std::move(schedule), model, spec) : schedule;
}

// A step, whose collectives run beside compute.
Schedule overlap(Schedule step, const ModelSpec& model, const StepSpec& spec, int distance) {
  step = prefetch(recompute(lay_out(std::move(step), model, spec), model, spec.recompute), distance, true);
  return bound_gradients(std::move(step), spec.zero >= 2);
}

// The step again in blocking order, with a check behind everything.
Schedule diagnose_of(const ModelSpec& model, const StepSpec& spec) {
  Schedule step = recompute(lay_out(order_diagnose(model, spec), model, spec), model, spec.recompute);
  return bound_gradients(prefetch(add_checks(std::move(step), model, spec), 0, false), spec.zero >= 2);
}

Schedule finish_forward(Schedule schedule, const ModelSpec& model, const StepSpec& spec) {
  schedule = prefetch(lay_out(std::move(schedule), model, spec), spec.prefetch, false);
  // Only stage 3 carries gathers, whose bytes are free here.
  return finish(std::move(schedule), spec, spec.zero == 3);
}

std::vector<const Schedule*> pointers(const RunPrograms& run) {
  std::vector<const Schedule*> list;
  for (const Schedule& schedule : run.schedules) list.push_back(&schedule);
  return list;
}

}  // namespace

const Schedule* RunPrograms::find(ScheduleKind kind) const {
  for (const Schedule& schedule : schedules)
    if (schedule.kind == kind) return &schedule;
  return nullptr;
}

RunPrograms build_run(const ModelSpec& model, const StepSpec& spec, const Programs& programs,
                      const ModelSpec* sample_model) {
  RunPrograms run;
  Schedule first = programs.load_staging_bytes > 0 ? order_load(model, spec, programs.load_staging_bytes) : order_init(model, spec);
  run.schedules.push_back(finish(lay_out(std::move(first), model, spec), spec, false));
  Schedule step = order_step(model, spec);
  // An audit has more uses, but what the two carry into each other must be the same.
  const int distance = spec.audit ? possible_distance(step, spec.prefetch) : spec.prefetch;
  step = overlap(std::move(step), model, spec, distance);
  Schedule enter = enter_of(step);
  if (!enter.ops.empty()) run.schedules.push_back(finish(std::move(enter), spec, false));
  run.schedules.push_back(finish(std::move(step), spec, false));
  if (spec.audit)
    run.schedules.push_back(finish(overlap(order_step_with_audit(model, spec), model, spec, distance), spec, false));
  if (programs.diagnose) run.schedules.push_back(finish(diagnose_of(model, spec), spec, spec.zero == 3));
  StepSpec one_round = spec;
  one_round.microbatches = spec.ranks();
  if (programs.validate)
    run.schedules.push_back(finish_forward(order_validate(model, one_round), model, one_round));
  if (programs.sample) {
    ensure(sample_model != nullptr, "a sample needs the model at one sequence");
    run.schedules.push_back(finish_forward(order_sample(*sample_model, one_round), *sample_model, one_round));
  }
  return run;
}

MemoryPlan plan_run(RunPrograms& run, Bytes limit_bytes) {
  MemoryPlan plan = plan_memory(pointers(run), limit_bytes);
  for (std::size_t i = 0; i < run.schedules.size(); ++i) apply(plan, i, run.schedules[i]);
  return plan;
}

}  // namespace trireme
