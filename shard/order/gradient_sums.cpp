#include "shard/order/gradient_sums.h"

#include <fmt/format.h>

#include <utility>

namespace trireme {
namespace {

// The first of several adds stores.
Operand add_to(BufferId sum, bool adds) {
  return adds ? updates(Slot::accumulator, sum) : writes(Slot::accumulator, sum);
}

}  // namespace

// `unit`: none for the accumulator of a tied tensor.
Accumulator GradientSums::add_accumulator(std::optional<std::size_t> unit, const FlatRange& range) {
  const Elems own = range.owned_by(spec_.rank).elems;
  const std::string of = unit ? std::to_string(*unit) : ".tied";
  const auto add = [&](Content content, const char* tag, Elems elems) {
    Buffer buffer{.name = tag + of,
                  .role = Role::gradients,
                  .type = DType::f32,
                  .content = content,
                  .unit = {},
                  .elems = elems,
                  .offset = {}};
    if (unit) buffer.unit = static_cast<std::int32_t>(*unit);
    return writer_.add(std::move(buffer));
  };
  Accumulator accumulator;
  accumulator.sum = add(Content::accumulator, "acc", own);
  if (spec_.sum_group > 1)
    accumulator.group = add(Content::group_sum, "group", spec_.takes_whole_groups() ? range.elems : own);
  return accumulator;
}

void GradientSums::add_accumulators(const std::optional<FlatRange>& tied) {
  units_.resize(run_.layouts.size());
  for (std::size_t u = 0; u < run_.layouts.size(); ++u)
    if (is_trained(u)) units_[u] = add_accumulator(u, run_.layouts[u].whole());
  if (tied) tied_ = add_accumulator(std::nullopt, *tied);
}

void GradientSums::add(const Gradient& gradient, const Accumulator& to, int turn) {
  if (!spec_.takes_whole_groups()) return reduce(gradient, to, turn);
  add_to_group(gradient, *to.group, turn);
  if ((turn + 1) % spec_.sum_group == 0) reduce(end_own_group(gradient, *to.group, turn), to, turn);
}

// An op on what this rank has alone.
Op GradientSums::local(OpKind kind, const Gradient& gradient, int turn) const {
  return {.kind = kind,
          .unit = static_cast<int>(gradient.owner),
          .microbatch = spec_.microbatch(turn),
          .range = gradient.range};
}

void GradientSums::add_to_group(const Gradient& gradient, BufferId group, int turn) {
  Op op = local(OpKind::accumulate, gradient, turn);
  op.operands = {reads(Slot::gradient, gradient.buffer), add_to(group, turn % spec_.sum_group != 0)};
  writer_.add(std::move(op));
}

Gradient GradientSums::end_own_group(const Gradient& gradient, BufferId group, int turn) {
  // There where this rank has any microbatch of the group.
  Op op = local(OpKind::round, gradient, turn + 1 - spec_.sum_group);
  const BufferId sum = writer_.add(fmt::format("sum.{}", writer_.schedule().ops.size()), Role::gradients, spec_.wire,
                                   gradient.range.elems, true);
  op.operands = {writes(Slot::gradient, sum), reads(Slot::chain, group)};
  writer_.add(std::move(op));
  return {gradient.owner, gradient.range, sum};
}

void GradientSums::reduce(const Gradient& gradient, const Accumulator& to, int turn) {
  const bool shares_groups = spec_.sum_group > 1 && !spec_.takes_whole_groups();
  for (const std::vector<Contribution>& from : spec_.contributions(turn / spec_.turns_a_round())) {
    const int first = *from.front().microbatch, last = *from.back().microbatch;
    if (!shares_groups) {
      reduce_into(gradient, from, to.sum, first > 0);
      continue;
    }
    reduce_into(gradient, from, *to.group, first % spec_.sum_group != 0);
    if ((last + 1) % spec_.sum_group == 0 || last + 1 == spec_.microbatches) end_shared_group(gradient, last, to);
  }
}

void GradientSums::reduce_into(const Gradient& gradient, const std::vector<Contribution>& from, BufferId sum,
                               bool adds) {
  const FlatRange& range = gradient.range;
  Op op{.kind = OpKind::reduce,
        .stream = StreamId::comm,
        .group = Group::data,
        .unit = static_cast<int>(gradient.owner),
        .microbatch = from.front().microbatch,
        .operands = {reads(Slot::gradient, gradient.buffer), add_to(sum, adds)},
        .range = range,
        .wire = spec_.wire,
        .bytes = range.elems * size_bytes(spec_.wire),
        .from = writer_.from_list(from),
        .to = to_all_};
  const Elems staging = spec_.remote(from) * range.owned_by(spec_.rank).elems;
  if (staging > 0)
    op.add(writes(Slot::staging, writer_.add(fmt::format("staging.{}", writer_.schedule().ops.size()),
                                             Role::communication, spec_.wire, staging)));
  writer_.add(std::move(op));
}

// On the comm stream, between the reduces of two groups: compute need not come there in between.
void GradientSums::end_shared_group(const Gradient& gradient, int last_microbatch, const Accumulator& to) {
  const int first = last_microbatch / spec_.sum_group * spec_.sum_group;
  Op op{.kind = OpKind::accumulate,
        .stream = StreamId::comm,
        .unit = static_cast<int>(gradient.owner),
        .microbatch = first,
        .operands = {reads(Slot::gradient, *to.group), add_to(to.sum, first > 0)},
        .range = gradient.range};
  if (const Elems own = gradient.range.owned_by(spec_.rank).elems; spec_.wire != DType::f32 && own > 0)
    op.add(writes(Slot::workspace,
                  writer_.add(fmt::format("ws.{}", writer_.schedule().ops.size()), Role::workspace, spec_.wire, own)));
  writer_.add(std::move(op));
}

}  // namespace trireme
