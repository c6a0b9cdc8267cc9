// Where a run and a step begin and end, and the audit that a step may hold.

#include "shard/order/order_writer.h"

namespace trireme {

void OrderWriter::finish_step() {
  // In the order in which the reduces end: the others' squares are summed while the last reduce, of unit 0, is under
  // way.
  for (std::size_t u = model_.units.size(); u-- > 0;) {
    if (!sums_.is_trained(u)) continue;
    if (trains_tied() && u == tied_owner())
      writer_.add(Op{.kind = OpKind::add_uses,
                     .unit = static_cast<int>(u),
                     .operands = {reads(Slot::other, sums_.tied().sum), updates(Slot::accumulator, sums_.unit(u).sum)},
                     .range = tied_range()});
    writer_.add(Op{.kind = OpKind::square_sum,
                   .unit = static_cast<int>(u),
                   .operands = {reads(Slot::accumulator, sums_.unit(u).sum), updates(Slot::sums, run_.sums)},
                   .range = run_.layouts[u].whole()});
  }
  all_reduce();
  verdict();
  for (std::size_t u = 0; u < model_.units.size(); ++u) {
    if (!sums_.is_trained(u)) continue;
    const StateBuffers& state = run_.units[u];
    Op op{.kind = OpKind::update,
          .unit = static_cast<int>(u),
          .operands = {reads(Slot::accumulator, sums_.unit(u).sum), reads(Slot::verdict, run_.verdict),
                       updates(Slot::master, state.master)},
          .range = run_.layouts[u].whole()};
    for (BufferId id : state.states) op.add(updates(Slot::states, id));
    if (state.exported != state.master) op.add(writes(Slot::exported, state.exported));
    writer_.add(std::move(op));
  }
}

void OrderWriter::init(Bytes load_staging_bytes) {
  std::optional<BufferId> staging;
  if (load_staging_bytes > 0) staging = writer_.add("staging", Role::data, DType::byte, load_staging_bytes);
  for (std::size_t u = 0; u < model_.units.size(); ++u) {
    if (run_.layouts[u].is_empty()) continue;
    const StateBuffers& state = run_.units[u];
    Op op{.kind = staging ? OpKind::read : OpKind::init,
          .unit = static_cast<int>(u),
          .operands = {writes(Slot::master, state.master)},
          .range = run_.layouts[u].whole()};
    for (BufferId id : state.states) op.add(writes(Slot::states, id));
    if (state.exported != state.master) op.add(writes(Slot::exported, state.exported));
    if (staging) op.add(writes(Slot::staging, *staging));
    writer_.add(std::move(op));
  }
  writer_.add(Op{.kind = OpKind::init,
                 .operands = {writes(Slot::constants, run_.constants), writes(Slot::counters, run_.counters)}});
}

void OrderWriter::hash(const Gradient& gradient, BufferId hashes) {
  const bool is_first = !std::exchange(has_hashes_, true);
  Op op{.kind = OpKind::hash,
        .unit = static_cast<int>(gradient.owner),
        .microbatch = microbatch_,
        .operands = {reads(Slot::gradient, gradient.buffer),
                     is_first ? writes(Slot::hashes, hashes) : updates(Slot::hashes, hashes)},
        .range = gradient.range};
  writer_.add(std::move(op));
}

void OrderWriter::replay(int turn, const std::vector<int>& to) {
  turn_ = turn;
  is_replay_ = true;
  has_hashes_ = false;
  // One that does not exist, where this rank has none to compare.
  microbatch_ = spec_.takes_part(0) ? spec_.microbatch_of(0, spec_.neighbour(1)) : spec_.microbatches;
  first_layer(to);
  forward_blocks(to);
  head(HeadOutput::gradient, to);
  backward(to);
  is_replay_ = false;
  if (spec_.takes_part(0) && to.size() > 1) exchange_hashes();
}

// Around the ring. Ranks of even number send first, so that no circle of ranks waits.
void OrderWriter::exchange_hashes() {
  const auto message = [&](OpKind kind, int peer) {
    return Op{.kind = kind, .stream = StreamId::comm, .group = Group::data, .peer = peer};
  };
  Op send = message(OpKind::send, spec_.neighbour(-1)), receive = message(OpKind::receive, spec_.neighbour(1));
  send.operands = {reads(Slot::message, *run_.own_hashes)};
  receive.operands = {writes(Slot::message, *run_.received_hashes)};
  send.bytes = receive.bytes = writer_.schedule().buffers[static_cast<std::size_t>(*run_.own_hashes)].bytes();
  const bool sends_first = spec_.rank % 2 == 0;
  writer_.add(sends_first ? send : receive);
  writer_.add(sends_first ? receive : send);
}

}  // namespace trireme
