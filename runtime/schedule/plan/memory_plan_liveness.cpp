#include "runtime/schedule/plan/memory_plan_liveness.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/schedule/happens_before.h"
#include "runtime/schedule/per_stream.h"

namespace trireme::planning {
namespace {

// Of the other streams, by compute op: how many of their ops are certainly complete when it starts. Ascending.
PerStream<std::vector<std::int32_t>> complete_before(const Schedule& schedule, const HappensBefore& order) {
  PerStream<std::size_t> ops_on;
  for (const Op& op : schedule.ops) ++ops_on[op.stream];
  PerStream<std::vector<std::int32_t>> complete;
  for (const StreamId stream : all_streams)
    if (stream != StreamId::compute && ops_on[stream] > 0) complete[stream].reserve(ops_on[StreamId::compute]);
  for (OpId op = 0; op < static_cast<OpId>(schedule.ops.size()); ++op) {
    if (schedule.ops[static_cast<std::size_t>(op)].stream != StreamId::compute) continue;
    for (const StreamId stream : all_streams)
      if (stream != StreamId::compute && ops_on[stream] > 0) complete[stream].push_back(order.clock(op)[stream]);
  }
  return complete;
}

std::vector<Interval> find_op_intervals(const Schedule& schedule, const HappensBefore& order) {
  const PerStream<std::vector<std::int32_t>> all_complete = complete_before(schedule, order);
  std::vector<Interval> intervals;
  intervals.reserve(schedule.ops.size());
  for (OpId op = 0; op < static_cast<OpId>(schedule.ops.size()); ++op) {
    const std::int32_t position = order.position(op);
    const StreamId stream = schedule.ops[static_cast<std::size_t>(op)].stream;
    if (stream == StreamId::compute) {
      intervals.push_back({2 * position + 1, 2 * position + 1});
      continue;
    }
    // Between the last compute op that is ordered before it and the first that is ordered after it.
    const std::vector<std::int32_t>& complete = all_complete[stream];
    const auto after = std::upper_bound(complete.begin(), complete.end(), position) - complete.begin();
    intervals.push_back({2 * order.clock(op)[StreamId::compute], 2 * static_cast<Moment>(after)});
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
