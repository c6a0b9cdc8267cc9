#include "shard/passes/pass_list.h"

#include <iterator>
#include <string>
#include <utility>

#include "runtime/base/error.h"
#include "shard/passes/add_checks.h"
#include "shard/passes/boundary.h"
#include "shard/passes/derive_events.h"
#include "shard/passes/gradient_bounds.h"
#include "shard/passes/node_shard.h"
#include "shard/passes/prefetch.h"
#include "shard/passes/recompute.h"
#include "shard/passes/strip_absent.h"
#include "shard/passes/zero_stage.h"

namespace trireme {
namespace {

constexpr const char* before_all = "compute_order";

bool has_backward(ScheduleKind kind) { return is_step(kind) || kind == ScheduleKind::diagnose; }
bool is_forward(ScheduleKind kind) { return kind == ScheduleKind::validate || kind == ScheduleKind::sample; }

Schedule run_zero_stage(Schedule schedule, const PassInput& input) {
  if (input.spec.zero >= 3) return schedule;
  return zero_stage(std::move(schedule), input.model, input.spec);
}

Schedule run_node_shard(Schedule schedule, const PassInput& input) {
  if (input.spec.zero < 3 || input.spec.node_ranks == 0) return schedule;
  return node_shard(std::move(schedule), input.model, input.spec);
}

Schedule run_recompute(Schedule schedule, const PassInput& input) {
  if (!has_backward(schedule.kind)) return schedule;
  return recompute(std::move(schedule), input.model, input.spec.recompute);
}

Schedule run_add_checks(Schedule schedule, const PassInput& input) {
  if (schedule.kind != ScheduleKind::diagnose) return schedule;
  return add_checks(std::move(schedule), input.model, input.spec);
}

Schedule run_prefetch(Schedule schedule, const PassInput& input) {
  if (is_step(schedule.kind)) return prefetch(std::move(schedule), input.carried_uses, true);
  if (is_forward(schedule.kind)) return prefetch(std::move(schedule), input.spec.prefetch, false);
  // What is looked for shows at its op: blocking order.
  if (schedule.kind == ScheduleKind::diagnose) return prefetch(std::move(schedule), 0, false);
  return schedule;
}

Schedule run_bound_gradients(Schedule schedule, const PassInput& input) {
  if (!has_backward(schedule.kind)) return schedule;
  return bound_gradients(std::move(schedule), input.spec.zero >= 2);
}

Schedule run_strip_absent(Schedule schedule, const PassInput& input) {
  return strip_absent(std::move(schedule), input.spec);
}

Schedule run_add_boundary(Schedule schedule, const PassInput& input) {
  // Only stage 3 carries gathers, whose bytes are free in what is no step.
  const bool fenced = input.spec.zero == 3 && (is_forward(schedule.kind) || schedule.kind == ScheduleKind::diagnose);
  return add_boundary(std::move(schedule), run_streams, fenced);
}

Schedule run_derive_events(Schedule schedule, const PassInput&) { return derive_events(std::move(schedule)); }

constexpr Pass all[] = {
    {"zero_stage", run_zero_stage},     {"node_shard", run_node_shard},     {"recompute", run_recompute},
    {"add_checks", run_add_checks},     {"prefetch", run_prefetch},         {"bound_gradients", run_bound_gradients},
    {"strip_absent", run_strip_absent}, {"add_boundary", run_add_boundary}, {"derive_events", run_derive_events},
};

}  // namespace

std::span<const Pass> passes() { return all; }

std::size_t passes_before_enter() { return passes_up_to("prefetch"); }

std::size_t passes_up_to(std::string_view name) {
  if (name == before_all) return 0;
  std::string known = before_all;
  for (const Pass& pass : all) {
    if (name == pass.name) return static_cast<std::size_t>(&pass - all) + 1;
    known += std::string(", ") + pass.name;
  }
  throw Error(ErrorKind::config, fmt::format("there is no pass '{}'; in order they are {}", name, known));
}

Schedule run_passes(Schedule schedule, const PassInput& input, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) schedule = all[i].run(std::move(schedule), input);
  return schedule;
}

}  // namespace trireme
