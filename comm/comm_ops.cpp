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
  const bool receives = !op.writes.empty() && context.buffer(op.writes[0]).role != Role::token;
  std::vector<int> from;
  if (op.group == Group::node) from = ranks_of(context.schedule.from_lists[static_cast<std::size_t>(*op.from)]);
  communicator.gather({.slice = context.view(op.reads[0]), .range = op.range,
                       .full = receives ? context.view(op.writes[0]) : View(),
                       .to = context.schedule.to_lists[static_cast<std::size_t>(*op.to)], .from = from});
}

bool reads(const Op& op, BufferId buffer) {
  return std::find(op.reads.begin(), op.reads.end(), buffer) != op.reads.end();
}

void reduce(const OpContext& context, Communicator& communicator) {
  const Op& op = context.op();
  const std::vector<int> from = ranks_of(context.schedule.from_lists[static_cast<std::size_t>(*op.from)]);  // in adding order
  const bool contributes = std::find(from.begin(), from.end(), communicator.rank()) != from.end();
  const BufferId accumulator = op.writes[0];
  const bool staged = op.writes.size() > 1 && context.buffer(op.writes[1]).role == Role::communication;
  communicator.reduce({.gradient = contributes ? context.view(op.reads[0]) : View(), .range = op.range, .from = from,
                       .accumulator = context.view(accumulator), .accumulate = reads(op, accumulator),
                       .staging = staged ? context.view(op.writes[1]) : View(),
                       .wire = op.bytes == op.range.elems * size_bytes(DType::f32) ? DType::f32 : DType::bf16});
}

void all_reduce(const OpContext& context, Communicator& communicator) {
  const View sums = context.view(context.op().writes[0]);
  communicator.all_reduce({static_cast<std::int64_t*>(sums.data),
                           static_cast<std::size_t>(sums.bytes()) / sizeof(std::int64_t)});
}

}  // namespace

void register_comm_ops(OpTable& table, Communicator& communicator) {
  Communicator* const c = &communicator;
  table.set(OpKind::gather, [c](const OpContext& context) { gather(context, *c); });
  table.set(OpKind::reduce, [c](const OpContext& context) { reduce(context, *c); });
  table.set(OpKind::release, [c](const OpContext& context) { c->release(context.address(context.op().reads[0])); });
  table.set(OpKind::send, [c](const OpContext& context) {
    c->send(bytes_of(context.view(context.op().reads[0])), *context.op().peer);
  });
  table.set(OpKind::receive, [c](const OpContext& context) {
    c->receive(bytes_of(context.view(context.op().writes[0])), *context.op().peer);
  });
  table.set(OpKind::all_reduce, [c](const OpContext& context) { all_reduce(context, *c); });
}

}  // namespace trireme
