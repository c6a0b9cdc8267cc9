#include "shard/planned_traffic.h"

namespace trireme {
namespace {

void take(PlannedTraffic::Taken& taken, const Schedule& schedule, const NodeLayout& nodes, int from, Bytes bytes) {
  if (from == schedule.rank) return;
  (nodes.share(from, schedule.rank) ? taken.node : taken.elsewhere) += bytes;
}

}  // namespace

PlannedTraffic planned_traffic(const Schedule& schedule, const NodeLayout& nodes) {
  PlannedTraffic traffic;
  for (const Op& op : schedule.ops) {
    if (op.kind != OpKind::gather && op.kind != OpKind::reduce) continue;
    const auto& from = schedule.from_lists[static_cast<std::size_t>(*op.from)];
    const Bytes width = size_bytes(*op.wire);
    if (op.kind == OpKind::reduce)
      for (const Contribution& c : from)
        take(traffic.reduces, schedule, nodes, c.rank, op.range.owned_by(schedule.rank).elems * width);
    const bool receives = op.kind == OpKind::gather && op.has(Slot::full);
    for (std::size_t slice = 0; receives && slice < from.size(); ++slice)
      take(traffic.gathers, schedule, nodes, from[slice].rank,
           op.range.owned_by(static_cast<int>(slice)).elems * width);
  }
  return traffic;
}

}  // namespace trireme
