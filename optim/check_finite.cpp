#include "optim/check_finite.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "runtime/kernels/first_nonfinite.h"

namespace trireme {
namespace {

// Where numbers lie in a buffer: padding of gradients may hold anything. In elements of the buffer.
std::vector<TensorPart> parts_of(const Buffer& buffer, const Op& op, const FlatLayout& layout, int rank) {
  if (buffer.role == Role::activations) return {{.elems = buffer.elems}};
  if (op.range == layout.whole())
    return held_parts(layout, buffer.elems == layout.full_elems() ? FlatRange{0, buffer.elems, buffer.elems} : op.range,
                      rank);
  // A tied tensor alone, or this rank's slice of it.
  const auto begin = std::find(layout.tensor_begin.begin(), layout.tensor_begin.end(), op.range.begin);
  const Elems first = buffer.elems == op.range.elems ? 0 : op.range.owned_by(rank).begin - op.range.begin;
  return {{.tensor = static_cast<int>(begin - layout.tensor_begin.begin()), .first = first, .elems = buffer.elems}};
}

std::optional<Finding> find(const OpContext& context, const FlatLayout& layout) {
  const Op& op = context.op();
  for (BufferId id : context.list(Slot::checked)) {
    const Buffer& buffer = context.buffer(id);
    if (buffer.role == Role::data) {
      if (!std::isfinite(context.record<StepSums>(id).loss.value())) return Finding{.op = context.id, .buffer = id};
      continue;
    }
    for (const TensorPart& part : parts_of(buffer, op, layout, context.schedule.rank))
      if (const auto element = first_nonfinite(context.view(id).cols_from(part.in_slice, part.elems)))
        return Finding{.op = context.id, .buffer = id, .tensor = part.tensor, .element = part.first + *element};
  }
  return std::nullopt;
}

// The op above a check that made what it looked at.
OpId maker(const Schedule& schedule, const Finding& finding) {
  auto op = static_cast<OpId>(finding.op);
  const auto buffer = static_cast<BufferId>(finding.buffer);
  while (op > 0 && !schedule.ops[static_cast<std::size_t>(op)].writes(buffer)) --op;
  return op;
}

}  // namespace

void register_check_ops(OpTable& table, std::span<const FlatLayout> layouts) {
  table.set(OpKind::check_finite, [layouts](const OpContext& context) {
    Finding& finding = context.record<Finding>(Slot::finding);
    if (finding.op >= 0) return;
    if (const auto found = find(context, layouts[static_cast<std::size_t>(*context.op().unit)])) finding = *found;
  });
}

std::string describe(const Finding& finding, const Schedule& schedule, const std::vector<UnitSpec>& units) {
  const Op& check = schedule.ops[static_cast<std::size_t>(finding.op)];
  const Buffer& buffer = schedule.buffers[static_cast<std::size_t>(finding.buffer)];
  const UnitSpec& unit = units[static_cast<std::size_t>(*check.unit)];
  const OpId made_by = maker(schedule, finding);
  const auto tensor = [&] { return unit.tensors[static_cast<std::size_t>(finding.tensor)].name; };
  std::string what;
  if (buffer.role == Role::data)
    what = "the loss";
  else if (buffer.role == Role::gathered)
    what = fmt::format("parameter {}, element {}", tensor(), finding.element);
  else if (buffer.role == Role::gradients)
    what = fmt::format("the gradient of {}, element {}", tensor(), finding.element);
  else
    what = fmt::format("activations {}, element {}", buffer.name, finding.element);
  std::string where = describe(schedule, made_by);
  if (check.segment)
    where += fmt::format(", segment {}", name(unit.segments[static_cast<std::size_t>(*check.segment)].kind));
  if (check.microbatch) where += fmt::format(", microbatch {}", *check.microbatch);
  return fmt::format("{} of {} ({})", what, unit.name, where);
}

}  // namespace trireme
