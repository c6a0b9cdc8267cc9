#include "runtime/schedule/plan/memory_plan_arena.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace trireme::planning {
namespace {

constexpr Bytes alignment_bytes = 256;
constexpr std::size_t no_item = SIZE_MAX;

Bytes placed_bytes(const Buffer& buffer) { return align_up(buffer.bytes(), alignment_bytes); }

// Near the bound, or no higher than another part is anyhow. Of a small arena a larger share is few bytes: not worth
// seconds of search.
Goal goal_of(Bytes lower_bound, Bytes height) {
  const Bytes few = std::min(lower_bound / 34, 64 * KiB);
  return {.good = std::max(height, lower_bound + std::max(lower_bound / 200, few / 2)),
          .tolerable = std::max(height, lower_bound + std::max(lower_bound / 110, few)),
          .bearable = std::max(height, lower_bound + std::max(lower_bound / 60, few))};
}

}  // namespace

ArenaPlanner::ArenaPlanner(std::span<const Schedule* const> schedules, std::span<const Liveness> liveness, Space space)
    : schedules_(schedules), liveness_(liveness), space_(space) {}

ArenaPlan ArenaPlanner::place(std::vector<std::vector<Bytes>>& offsets) {
  place_persistent(offsets);
  std::vector<Part> parts = make_parts();
  for (const Part& part : parts) find_peak(part);
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.lower_bound > b.lower_bound; });
  Bytes height = 0;
  for (const Part& part : parts) {
    const Packing packing = pack(part.problem, goal_of(part.lower_bound, height));
    height = std::max(height, packing.height);
    for (std::size_t k = 0; k < part.schedules.size(); ++k)
      for (std::size_t b = 0; b < part.items[k].size(); ++b)
        if (const std::size_t item = part.items[k][b]; item != no_item)
          offsets[part.schedules[k]][b] = persistent_bytes_ + packing.address[item];
  }
  return report(persistent_bytes_ + height);
}

void ArenaPlanner::place_persistent(std::vector<std::vector<Bytes>>& offsets) {
  std::unordered_map<std::string_view, Bytes> placed;
  for (std::size_t s = 0; s < schedules_.size(); ++s)
    for (std::size_t b = 0; b < schedules_[s]->buffers.size(); ++b) {
      const Buffer& buffer = schedules_[s]->buffers[b];
      if (buffer.lifetime != Lifetime::persistent || !here(buffer)) continue;
      const auto [found, is_new] = placed.try_emplace(buffer.name, persistent_bytes_);
      offsets[s][b] = found->second;
      if (!is_new) continue;
      persistent_bytes_ += placed_bytes(buffer);
      persistent_.push_back(&buffer);
    }
}

bool ArenaPlanner::carries(std::size_t schedule) const {
  const std::vector<Buffer>& buffers = schedules_[schedule]->buffers;
  return std::any_of(buffers.begin(), buffers.end(),
                     [&](const Buffer& b) { return b.lifetime == Lifetime::carried && here(b); });
}

std::vector<ArenaPlanner::Part> ArenaPlanner::make_parts() {
  std::vector<Part> parts(1);  // the first has all schedules with carried buffers
  Names carried, none;
  for (std::size_t s = 0; s < schedules_.size(); ++s) {
    if (carries(s)) {
      add_schedule(parts.front(), s, carried);
    } else {
      add_schedule(parts.emplace_back(), s, none);
    }
  }
  for (Part& part : parts) {
    const std::vector<Bytes> loads = load(part.problem);
    if (!loads.empty()) part.lower_bound = *std::max_element(loads.begin(), loads.end());
  }
  return parts;
}

void ArenaPlanner::add_schedule(Part& part, std::size_t schedule, Names& carried) {
  const std::vector<Buffer>& buffers = schedules_[schedule]->buffers;
  part.schedules.push_back(schedule);
  std::vector<std::size_t>& items = part.items.emplace_back(buffers.size(), no_item);
  std::vector<Item>& all = part.problem.items;
  all.reserve(all.size() + buffers.size());
  const auto item_of = [&](BufferId id) -> std::size_t& { return items[static_cast<std::size_t>(id)]; };
  for (BufferId id = 0; id < static_cast<BufferId>(buffers.size()); ++id) {
    const Buffer& buffer = buffers[static_cast<std::size_t>(id)];
    if (!here(buffer) || buffer.lifetime == Lifetime::persistent) continue;
    item_of(id) = all.size();
    if (buffer.lifetime == Lifetime::carried) item_of(id) = carried.try_emplace(buffer.name, all.size()).first->second;
    if (item_of(id) == all.size()) all.push_back({.size = placed_bytes(buffer), .when = {}});
  }
  for (const Life& life : liveness_[schedule].lives)
    if (item_of(life.buffer) != no_item)
      all[item_of(life.buffer)].when.push_back(
          {part.problem.moments + life.interval.first, part.problem.moments + life.interval.last});
  part.problem.moments += liveness_[schedule].moments;
}

void ArenaPlanner::find_peak(const Part& part) {
  const std::vector<Bytes> loads = load(part.problem);
  std::size_t at = 0;
  for (const std::size_t schedule : part.schedules)
    for (Moment moment = 0; moment < liveness_[schedule].moments; ++moment, ++at)
      if (loads[at] > peak_.bytes) peak_ = {loads[at], schedule, moment};
}

std::vector<const Buffer*> ArenaPlanner::alive_at_peak() const {
  std::vector<const Buffer*> alive = persistent_;
  if (schedules_.empty()) return alive;
  for (const Life& life : liveness_[peak_.schedule].lives) {
    const Buffer& buffer = schedules_[peak_.schedule]->buffers[static_cast<std::size_t>(life.buffer)];
    if (here(buffer) && life.interval.first <= peak_.moment && peak_.moment <= life.interval.last)
      alive.push_back(&buffer);
  }
  return alive;
}

OpId ArenaPlanner::peak_op() const {
  if (schedules_.empty()) return 0;
  const std::vector<Interval>& ops = liveness_[peak_.schedule].op_intervals;
  // Of the ops that may run then, the one whose time is known best: a compute op, where one runs.
  std::optional<std::size_t> found;
  for (std::size_t op = 0; op < ops.size(); ++op) {
    if (peak_.moment < ops[op].first || ops[op].last < peak_.moment) continue;
    if (!found || ops[op].last - ops[op].first < ops[*found].last - ops[*found].first) found = op;
  }
  return static_cast<OpId>(found.value_or(0));
}

std::string ArenaPlanner::describe_peak() const {
  if (schedules_.empty() || schedules_[peak_.schedule]->ops.empty()) return "its start";
  return describe(*schedules_[peak_.schedule], peak_op());
}

ArenaPlan ArenaPlanner::report(Bytes height) const {
  ArenaPlan plan{.peak_bytes = height,
                 .lower_bound_bytes = persistent_bytes_ + std::max<Bytes>(peak_.bytes, 0),
                 .peak_schedule = schedules_.empty() ? ScheduleKind::step : schedules_[peak_.schedule]->kind,
                 .peak_op = peak_op()};
  for (const Buffer* buffer : alive_at_peak())
    plan.role_bytes[static_cast<std::size_t>(buffer->role)] += placed_bytes(*buffer);
  plan.fragmentation_bytes = height - std::accumulate(plan.role_bytes.begin(), plan.role_bytes.end(), Bytes{0});
  for (const Buffer* buffer : persistent_)
    if (buffer->role == Role::parameters || buffer->role == Role::optimizer) plan.states_bytes += buffer->bytes();
  return plan;
}

}  // namespace trireme::planning
