#include "shard/passes/strip_absent.h"

#include <algorithm>

namespace trireme {
namespace {

bool is_absent_compute(const Op& op, const StepSpec& spec) {
  return op.stream == StreamId::compute && op.microbatch && *op.microbatch >= spec.microbatches;
}

void strip_collective(Schedule& schedule, Op& op) {
  const auto& to = schedule.to_lists;
  if (op.kind == OpKind::gather && !std::binary_search(to[static_cast<std::size_t>(*op.to)].begin(),
                                                       to[static_cast<std::size_t>(*op.to)].end(), schedule.rank))
    op.remove(Slot::full);
  if (op.kind == OpKind::reduce) {
    const auto& from = schedule.from_lists[static_cast<std::size_t>(*op.from)];
    const bool contributes =
        std::any_of(from.begin(), from.end(), [&](const Contribution& c) { return c.rank == schedule.rank; });
    if (!contributes) op.remove(Slot::gradient);
  }
}

bool releases_nothing(const Op& op) { return op.kind == OpKind::release && !op.has(Slot::exported); }

// Removes reads of step buffers that nothing wrote, and releases that are left without a buffer.
void strip_unwritten(Schedule& schedule) {
  std::vector<bool> written(schedule.buffers.size());
  for (std::size_t b = 0; b < written.size(); ++b) written[b] = schedule.buffers[b].lifetime != Lifetime::step;
  for (const Op& op : schedule.ops)
    for (BufferId id : op.writes()) written[static_cast<std::size_t>(id)] = true;
  const auto unwritten = [&](const Operand& operand) {
    return operand.reads() && !written[static_cast<std::size_t>(operand.buffer)];
  };
  for (Op& op : schedule.ops) {
    std::erase_if(op.operands, unwritten);
    // Its tokens are read below it only.
    if (releases_nothing(op))
      for (BufferId id : op.writes()) written[static_cast<std::size_t>(id)] = false;
  }
  std::erase_if(schedule.ops, releases_nothing);
}

// Keeps persistent buffers and those that an op names; renumbers them.
void strip_unused(Schedule& schedule) {
  std::vector<bool> used(schedule.buffers.size());
  for (std::size_t b = 0; b < used.size(); ++b) used[b] = schedule.buffers[b].lifetime == Lifetime::persistent;
  for (const Op& op : schedule.ops)
    for (const Operand& operand : op.operands) used[static_cast<std::size_t>(operand.buffer)] = true;
  std::vector<BufferId> renumbered(used.size());
  std::vector<Buffer> kept;
  for (std::size_t b = 0; b < used.size(); ++b) {
    renumbered[b] = static_cast<BufferId>(kept.size());
    if (used[b]) kept.push_back(std::move(schedule.buffers[b]));
  }
  schedule.buffers = std::move(kept);
  for (Op& op : schedule.ops)
    for (Operand& operand : op.operands) operand.buffer = renumbered[static_cast<std::size_t>(operand.buffer)];
}

}  // namespace

Schedule strip_absent(Schedule schedule, const StepSpec& spec) {
  std::erase_if(schedule.ops, [&](const Op& op) { return is_absent_compute(op, spec); });
  for (Op& op : schedule.ops) strip_collective(schedule, op);
  strip_unwritten(schedule);
  strip_unused(schedule);
  return schedule;
}

}  // namespace trireme
