#include "shard/build_step.h"

#include <utility>

#include "runtime/base/error.h"
#include "shard/order/compute_order.h"
#include "shard/passes/pass_list.h"
#include "shard/passes/prefetch.h"

namespace trireme {
namespace {

/// Builds one schedule of the run after the other, through the passes asked for.
class RunBuilder {
 public:
  RunBuilder(const ModelSpec& model, const StepSpec& spec, std::size_t passes)
      : input_{model, spec, spec.prefetch}, passes_(passes) {}

  void add(Schedule ordered) { add(std::move(ordered), input_); }
  void add(Schedule ordered, const PassInput& input) { keep(run_passes(std::move(ordered), input, 0, passes_)); }

  /// The step, and enter where it carries something.
  void add_step(Schedule ordered) {
    // An audit has more uses, but what the two carry into each other must be the same.
    if (input_.spec.audit) input_.carried_uses = possible_distance(ordered, input_.spec.prefetch);
    const std::size_t common = std::min(passes_, passes_before_enter());
    Schedule step = run_passes(std::move(ordered), input_, 0, common);
    if (Schedule enter = enter_of(step); !enter.ops.empty())
      keep(run_passes(std::move(enter), input_, common, passes_));
    keep(run_passes(std::move(step), input_, common, passes_));
  }

  RunPrograms take() { return std::move(run_); }

 private:
  void keep(Schedule schedule) {
    schedule.buffers.shrink_to_fit();
    schedule.ops.shrink_to_fit();
    run_.schedules.push_back(std::move(schedule));
  }

  PassInput input_;
  std::size_t passes_;
  RunPrograms run_;
};

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
  RunBuilder run(model, spec, programs.after.empty() ? passes().size() : passes_up_to(programs.after));
  run.add(programs.load_staging_bytes > 0 ? order_load(model, spec, programs.load_staging_bytes)
                                          : order_init(model, spec));
  run.add_step(order_step(model, spec));
  if (spec.audit) run.add(order_step_with_audit(model, spec));
  if (programs.diagnose) run.add(order_diagnose(model, spec));
  StepSpec one_round = spec;
  one_round.microbatches = spec.ranks();
  if (programs.validate) run.add(order_validate(model, one_round), {model, one_round});
  if (programs.sample) {
    ensure(sample_model != nullptr, "a sample needs the model at one sequence");
    run.add(order_sample(*sample_model, one_round), {*sample_model, one_round});
  }
  return run.take();
}

MemoryPlan plan_run(RunPrograms& run, Bytes limit_bytes) {
  MemoryPlan plan = plan_memory(pointers(run), limit_bytes);
  for (std::size_t i = 0; i < run.schedules.size(); ++i) apply(plan, i, run.schedules[i]);
  return plan;
}

}  // namespace trireme
