#include "runtime/schedule/plan/memory_plan.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/schedule/plan/memory_plan_arena.h"

namespace trireme {
namespace {

using planning::ArenaPlanner;

// The five largest buffers alive at the peak, for the message that refuses a run.
std::string describe_largest(const ArenaPlanner& planner) {
  constexpr std::size_t shown = 5;
  std::vector<const Buffer*> alive = planner.alive_at_peak();
  std::stable_sort(alive.begin(), alive.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes() > b->bytes(); });
  if (alive.size() > shown) alive.resize(shown);
  std::string text;
  for (const Buffer* buffer : alive)
    text += fmt::format("{}{} ({}, {})", text.empty() ? "" : ", ", buffer->name, name(buffer->role),
                        format_bytes(buffer->bytes()));
  return text;
}

void require_fit(const ArenaPlan& plan, const ArenaPlanner& planner, Bytes limit_bytes) {
  if (plan.peak_bytes <= limit_bytes) return;
  throw Error(ErrorKind::plan,
              fmt::format("the device arena needs {} ({} bytes), the limit is {} ({} bytes): {} ({} bytes) too much. "
                          "Most is alive in schedule {} at {}; the largest there: {}",
                          format_bytes(plan.peak_bytes), plan.peak_bytes, format_bytes(limit_bytes), limit_bytes,
                          format_bytes(plan.peak_bytes - limit_bytes), plan.peak_bytes - limit_bytes,
                          name(plan.peak_schedule), planner.describe_peak(), describe_largest(planner)));
}

}  // namespace

MemoryPlan plan_memory(std::span<const Schedule* const> schedules, Bytes limit_bytes) {
  std::vector<planning::Liveness> liveness;
  MemoryPlan plan;
  for (const Schedule* schedule : schedules) {
    liveness.push_back(planning::find_liveness(*schedule));
    plan.offset_bytes.emplace_back(schedule->buffers.size());
  }
  ArenaPlanner device(schedules, liveness, Space::device);
  plan.device = device.place(plan.offset_bytes);
  plan.host = ArenaPlanner(schedules, liveness, Space::host).place(plan.offset_bytes);
  plan.disk = ArenaPlanner(schedules, liveness, Space::disk).place(plan.offset_bytes);
  require_fit(plan.device, device, limit_bytes);
  return plan;
}

void apply(const MemoryPlan& plan, std::size_t index, Schedule& schedule) {
  const std::vector<Bytes>& offsets = plan.offset_bytes.at(index);
  ensure(offsets.size() == schedule.buffers.size(), "a plan for {} buffers was applied to schedule {}, which has {}",
         offsets.size(), name(schedule.kind), schedule.buffers.size());
  for (std::size_t b = 0; b < offsets.size(); ++b)
    if (schedule.buffers[b].elems > 0) schedule.buffers[b].offset = offsets[b];
}

}  // namespace trireme
