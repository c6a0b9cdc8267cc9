#include "runtime/schedule/memory_plan_liveness.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/schedule/happens_before.h"

namespace trireme::planning {
namespace {

constexpr auto compute = static_cast<std::size_t>(StreamId::compute);

// By compute op: how many ops of `stream` are certainly complete when it starts. Ascending.
std::vector<std::int32_t> complete_before(const Schedule& schedule, const HappensBefore& order, StreamId stream) {
  std::vector<std::int32_t> complete;
  complete.reserve(schedule.ops.size());
  for (OpId op = 0; op < static_cast<OpId>(schedule.ops.size()); ++op)
    if (schedule.ops[static_cast<std::size_t>(op)].stream == StreamId::compute)
      complete.push_back(order.clock(op)[static_cast<std::size_t>(stream)]);
  return complete;
}

std::vector<Interval> find_op_intervals(const Schedule& schedule, const HappensBefore& order) {
  const std::vector<std::int32_t> complete = complete_before(schedule, order, StreamId::comm);
  std::vector<Interval> intervals;
  intervals.reserve(schedule.ops.size());
  for (OpId op = 0; op < static_cast<OpId>(schedule.ops.size()); ++op) {
    const std::int32_t position = order.position(op);
    if (schedule.ops[static_cast<std::size_t>(op)].stream == StreamId::compute) {
      intervals.push_back({2 * position + 1, 2 * position + 1});
      continue;
    }
    // Between the last compute op that is ordered before it and the first that is ordered after it.
    const auto after = std::upper_bound(complete.begin(), complete.end(), position) - complete.begin();
    intervals.push_back({2 * order.clock(op)[compute], 2 * static_cast<Moment>(after)});
  }
  return intervals;
}

void extend(std::optional<Interval>& life, Interval use) {
  if (!life) life = use;
  life->first = std::min(life->first, use.first);
  life->last = std::max(life->last, use.last);
}

/// The lives of one buffer while the ops are walked in list order.
struct Lives {
  std::optional<Interval> old, fresh;  // fresh: of a carried buffer, since it was written anew

  void add_use(Interval use, bool carried, bool writes_anew, Moment last_moment) {
    if (!carried) return extend(old, use);
    if (writes_anew || fresh) return extend(fresh, {use.first, last_moment});
    extend(old, {0, use.last});
  }
};

std::vector<Lives> find_lives(const Schedule& schedule, const Liveness& times) {
  std::vector<Lives> lives(schedule.buffers.size());
  for (std::size_t i = 0; i < schedule.ops.size(); ++i) {
    const Op& op = schedule.ops[i];
    for (const Operand& operand : op.operands) {
      const auto b = static_cast<std::size_t>(operand.buffer);
      const bool carried = schedule.buffers[b].lifetime == Lifetime::carried;
      lives[b].add_use(times.op_intervals[i], carried, operand.access == Access::write, times.moments - 1);
    }
  }
  return lives;
}

}  // namespace

Liveness find_liveness(const Schedule& schedule) {
  const HappensBefore order(schedule);
  const auto compute_ops = std::count_if(schedule.ops.begin(), schedule.ops.end(),
                                         [](const Op& op) { return op.stream == StreamId::compute; });
  Liveness found{.moments = 2 * static_cast<Moment>(compute_ops) + 1,
                 .op_intervals = find_op_intervals(schedule, order),
                 .lives = {}};
  const std::vector<Lives> lives = find_lives(schedule, found);
  found.lives.reserve(lives.size());
  for (BufferId id = 0; id < static_cast<BufferId>(lives.size()); ++id) {
    const Buffer& buffer = schedule.buffers[static_cast<std::size_t>(id)];
    if (buffer.lifetime == Lifetime::persistent || buffer.elems == 0) continue;
    auto [old, fresh] = lives[static_cast<std::size_t>(id)];
    // A step buffer that nothing uses needs a place all the same; a carried one may hold bytes for a later schedule.
    if (!old && !fresh) old = {0, buffer.lifetime == Lifetime::carried ? found.moments - 1 : 0};
    if (old && fresh && fresh->first <= old->last) extend(old, *std::exchange(fresh, std::nullopt));
    if (old) found.lives.push_back({id, *old});
    if (fresh) found.lives.push_back({id, *fresh});
  }
  return found;
}

}  // namespace trireme::planning
