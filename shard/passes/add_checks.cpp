#include "shard/passes/add_checks.h"

#include <algorithm>
#include <utility>

#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"

namespace trireme {
namespace {

// A unit's gradient is whole when its first segment, the last in backward, has written its part.
bool holds_numbers(const Buffer& buffer, const Op& maker) {
  if (buffer.role == Role::gradients && maker.kind == OpKind::backward && maker.segment != 0) return false;
  const bool role = buffer.role == Role::gathered || buffer.role == Role::activations || buffer.role == Role::gradients;
  return role && (buffer.type == DType::f32 || buffer.type == DType::bf16);
}

}  // namespace

Schedule add_checks(Schedule schedule, const ModelSpec& model, const StepSpec& spec) {
  const RunBuffers run = run_buffers(model, spec);
  std::vector<Op> ops = std::exchange(schedule.ops, {});
  ScheduleWriter writer(std::move(schedule), 2 * ops.size());
  std::vector<Op> of_comm;  // behind all gathers of a use, and all reduces of a gradient, which stand together
  for (Op& op : ops) {
    const bool is_comm = op.stream == StreamId::comm;
    if (!is_comm)
      for (Op& check : std::exchange(of_comm, {})) writer.add(std::move(check));
    Op check{.kind = OpKind::check_finite,
             .unit = op.unit,
             .segment = op.segment,
             .microbatch = op.microbatch,
             .range = op.range};
    for (BufferId id : op.writes()) {
      const bool is_loss = id == run.sums && op.kind == OpKind::forward_backward;
      if (is_loss || holds_numbers(writer.schedule().buffers[static_cast<std::size_t>(id)], op))
        check.add(reads(Slot::checked, id));
    }
    writer.add(std::move(op));
    if (check.operands.empty()) continue;
    check.add(updates(Slot::finding, run.finding));
    if (is_comm)
      of_comm.push_back(std::move(check));
    else
      writer.add(std::move(check));
  }
  for (Op& check : of_comm) writer.add(std::move(check));
  return writer.take();
}

}  // namespace trireme
