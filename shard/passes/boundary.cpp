#include "shard/passes/boundary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/schedule/per_stream.h"
#include "shard/schedule_writer.h"

namespace trireme {
namespace {

// Whether an op may run on while the next schedule begins.
bool runs_on(const Schedule& schedule, const Op& op) {
  const auto lifetime = [&](const Operand& operand) {
    return schedule.buffers[static_cast<std::size_t>(operand.buffer)].lifetime;
  };
  if (std::ranges::any_of(op.operands,
                          [&](const Operand& o) { return o.writes() && lifetime(o) == Lifetime::carried; }))
    return true;
  return op.stream == StreamId::io &&
         std::ranges::none_of(op.operands, [&](const Operand& o) { return lifetime(o) == Lifetime::step; });
}

Op* first_on(std::vector<Op>& ops, StreamId stream) {
  const auto found = std::ranges::find(ops, stream, &Op::stream);
  return found == ops.end() ? nullptr : &*found;
}

Op* last_on(const Schedule& schedule, std::vector<Op>& ops, StreamId stream) {
  const auto found = std::find_if(ops.rbegin(), ops.rend(),
                                  [&](const Op& op) { return op.stream == stream && !runs_on(schedule, op); });
  return found == ops.rend() ? nullptr : &*found;
}

}  // namespace

Schedule add_boundary(Schedule schedule, std::span<const StreamId> streams, bool fenced) {
  ScheduleWriter writer(std::move(schedule));
  PerStream<BufferId> ends;
  for (const StreamId stream : streams)
    ends[stream] = writer.add_token(fmt::format("end.{}", name(stream)), Lifetime::persistent);
  std::vector<Op>& ops = writer.schedule().ops;
  if (fenced && first_on(ops, StreamId::comm)) {
    const BufferId fence = writer.add_token("fence");
    const auto first_comm = std::ranges::find(ops, StreamId::comm, &Op::stream);
    std::rotate(ops.begin(), first_comm, first_comm + 1);
    ops.front().add(gives(fence));
    for (const StreamId stream : streams)
      if (Op* first = first_on(ops, stream); first && stream != StreamId::comm) first->add(takes(fence));
  }
  for (const StreamId stream : streams)
    if (Op* first = first_on(ops, stream))
      for (const StreamId other : streams)
        if (other != stream) first->add(takes(ends[other]));
  for (const StreamId stream : streams)
    if (Op* last = last_on(writer.schedule(), ops, stream)) last->add(gives(ends[stream]));
  return writer.take();
}

}  // namespace trireme
