#include "shard/passes/gradient_sums.h"

#include <fmt/format.h>

#include <utility>

namespace trireme {

Accumulator GradientSums::add_accumulator(std::string name, const FlatRange& range) {
  const Elems own = range.owned_by(spec_.rank).elems;
  Accumulator accumulator;
  accumulator.sum = writer_.add("acc" + name, Role::gradients, DType::f32, own);
  if (spec_.sum_group > 1)
    accumulator.group = writer_.add("group" + name, Role::gradients, DType::f32,
                                    spec_.takes_whole_groups() ? range.elems : own);
  return accumulator;
}

void GradientSums::add_accumulators(const std::optional<FlatRange>& tied) {
  units_.resize(run_.layouts.size());
  for (std::size_t u = 0; u < run_.layouts.size(); ++u)
    if (is_trained(u)) units_[u] = add_accumulator(std::to_string(u), run_.layouts[u].whole());
  if (tied) tied_ = add_accumulator(".tied", *tied);
}

void GradientSums::add(const Gradient& gradient, const Accumulator& to, int turn) {
  if (!spec_.takes_whole_groups()) return reduce(gradient, to, turn);
  add_to_group(gradient, *to.group, turn);
  if ((turn + 1) % spec_.sum_group == 0) reduce(end_own_group(gradient, *to.group, turn), to, turn);
}

// An op on what this rank has alone.
Op GradientSums::local(OpKind kind, const Gradient& gradient, int turn) const {
  return {.kind = kind, .unit = static_cast<int>(gradient.owner), .microbatch = spec_.microbatch(turn),
          .range = gradient.range};
}

void GradientSums::add_to_group(const Gradient& gradient, BufferId group, int turn) {
  Op op = local(OpKind::accumulate, gradient, turn);
  op.reads = {gradient.buffer};
  if (turn % spec_.sum_group != 0) op.reads.push_back(group);
  op.writes = {group};
  writer_.add(std::move(op));
}

Gradient GradientSums::end_own_group(const Gradient& gradient, BufferId group, int turn) {
  // There where this rank has any microbatch of the group.
  Op op = local(OpKind::round, gradient, turn + 1 - spec_.sum_group);
  const BufferId sum = writer_.add(fmt::format("sum.{}", writer_.schedule().ops.size()), Role::gradients, spec_.wire,
                                   gradient.range.elems, true);
  op.reads = {group};
  op.writes = {sum};
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

void GradientSums::reduce_into(const Gradient& gradient, const std::vector<Contribution>& from, BufferId sum, bool adds) {
  const FlatRange& range = gradient.range;
  Op op{.kind = OpKind::reduce, .stream = StreamId::comm, .group = Group::data, .unit = static_cast<int>(gradient.owner),
        .microbatch = from.front().microbatch, .reads = {gradient.buffer}, .writes = {sum}, .range = range,
        .bytes = range.elems * size_bytes(spec_.wire), .from = writer_.from_list(from),
        .to = to_all_};
  if (adds) op.reads.push_back(sum);
  const Elems staging = spec_.remote(from) * range.owned_by(spec_.rank).elems;
  if (staging > 0)
    op.writes.push_back(writer_.add(fmt::format("staging.{}", writer_.schedule().ops.size()), Role::communication,
                                    spec_.wire, staging));
  writer_.add(std::move(op));
}

// On the comm stream, between the reduces of two groups: compute need not come there in between.
void GradientSums::end_shared_group(const Gradient& gradient, int last_microbatch, const Accumulator& to) {
  const int first = last_microbatch / spec_.sum_group * spec_.sum_group;
  Op op{.kind = OpKind::accumulate, .stream = StreamId::comm, .unit = static_cast<int>(gradient.owner),
        .microbatch = first, .reads = {*to.group}, .writes = {to.sum}, .range = gradient.range};
  if (first > 0) op.reads.push_back(to.sum);
  if (const Elems own = gradient.range.owned_by(spec_.rank).elems; spec_.wire != DType::f32 && own > 0)
    op.writes.push_back(writer_.add(fmt::format("ws.{}", writer_.schedule().ops.size()), Role::workspace, spec_.wire, own));
  writer_.add(std::move(op));
}

}  // namespace trireme
