#include "comm/comm_ops.h"

#include <algorithm>

namespace trireme {
namespace {

std::vector<int> ranks_of(const std::vector<Contribution>& list) {
  std::vector<int> ranks(list.size());
  std::transform(list.begin(), list.end(), ranks.begin(), [](const Contribution& c) { return c.rank; });
  return ranks;
}

std::span<std::byte> bytes_of(const View& view) {
  return {static_cast<std::byte*>(view.data), static_cast<std::size_t>(view.bytes())};
}

void gather(const OpContext& context, Communicator& communicator) {
  const Op& op = context.op();
  std::vector<int> from;
  if (op.group == Group::node) from = ranks_of(context.schedule.from_lists[static_cast<std::size_t>(*op.from)]);
  communicator.gather({.slice = context.view(Slot::slice),
                       .range = op.range,
                       .full = context.view_if_any(Slot::full),
                       .to = context.schedule.to_lists[static_cast<std::size_t>(*op.to)],
                       .from = from});
}

void reduce(const OpContext& context, Communicator& communicator) {
  const Op& op = context.op();
  const std::vector<int> from =
      ranks_of(context.schedule.from_lists[static_cast<std::size_t>(*op.from)]);  // in adding order
  communicator.reduce({.gradient = context.view_if_any(Slot::gradient),
                       .range = op.range,
                       .from = from,
                       .accumulator = context.view(Slot::accumulator),
                       .accumulate = op.find(Slot::accumulator)->reads(),
                       .staging = context.view_if_any(Slot::staging),
                       .wire = *op.wire});
}

void all_reduce(const OpContext& context, Communicator& communicator) {
  const View sums = context.view(Slot::sums);
  communicator.all_reduce(
      {static_cast<std::int64_t*>(sums.data), static_cast<std::size_t>(sums.bytes()) / sizeof(std::int64_t)});
}

}  // namespace

void register_comm_ops(OpTable& table, Communicator& communicator) {
  Communicator* const c = &communicator;
  table.set(OpKind::gather, [c](const OpContext& context) { gather(context, *c); });
  table.set(OpKind::reduce, [c](const OpContext& context) { reduce(context, *c); });
  table.set(OpKind::release,
            [c](const OpContext& context) { c->release(context.address(context.op().at(Slot::exported))); });
  table.set(OpKind::send,
            [c](const OpContext& context) { c->send(bytes_of(context.view(Slot::message)), *context.op().peer); });
  table.set(OpKind::receive,
            [c](const OpContext& context) { c->receive(bytes_of(context.view(Slot::message)), *context.op().peer); });
  table.set(OpKind::all_reduce, [c](const OpContext& context) { all_reduce(context, *c); });
}

}  // namespace trireme
