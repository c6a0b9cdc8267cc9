#include "shard/passes/boundary.h"

#include <algorithm>
#include <utility>

#include "shard/schedule_writer.h"

namespace trireme {
namespace {

bool writes_carried(const Schedule& schedule, const Op& op) {
  return std::any_of(op.operands.begin(), op.operands.end(), [&](const Operand& operand) {
    return operand.writes() && schedule.buffers[static_cast<std::size_t>(operand.buffer)].lifetime == Lifetime::carried;
  });
}

Op* first_on(std::vector<Op>& ops, StreamId stream) {
  const auto found = std::find_if(ops.begin(), ops.end(), [&](const Op& op) { return op.stream == stream; });
  return found == ops.end() ? nullptr : &*found;
}

Op* last_on(const Schedule& schedule, std::vector<Op>& ops, StreamId stream) {
  const auto found = std::find_if(ops.rbegin(), ops.rend(), [&](const Op& op) {
    return op.stream == stream && !writes_carried(schedule, op);
  });
  return found == ops.rend() ? nullptr : &*found;
}

}  // namespace

Schedule add_boundary(Schedule schedule, bool fenced) {
  ScheduleWriter writer(std::move(schedule));
  const BufferId ends[stream_count] = {writer.add_token("end.compute", Lifetime::persistent),
                                       writer.add_token("end.comm", Lifetime::persistent)};
  std::vector<Op>& ops = writer.schedule().ops;
  if (fenced && first_on(ops, StreamId::comm)) {
    const BufferId fence = writer.add_token("fence");
    const auto first_comm = std::find_if(ops.begin(), ops.end(), [](const Op& op) { return op.stream == StreamId::comm; });
    std::rotate(ops.begin(), first_comm, first_comm + 1);
    ops.front().add(gives(fence));
    first_on(ops, StreamId::compute)->add(takes(fence));
  }
  for (StreamId stream : {StreamId::compute, StreamId::comm}) {
    const StreamId other = stream == StreamId::compute ? StreamId::comm : StreamId::compute;
    if (Op* first = first_on(ops, stream)) first->add(takes(ends[static_cast<int>(other)]));
  }
  for (StreamId stream : {StreamId::compute, StreamId::comm})
    if (Op* last = last_on(writer.schedule(), ops, stream)) last->add(gives(ends[static_cast<int>(stream)]));
  return writer.take();
}

}  // namespace trireme
