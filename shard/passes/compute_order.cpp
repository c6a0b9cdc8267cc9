#include "shard/passes/compute_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "shard/operands.h"
#include "shard/passes/gradient_sums.h"
#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"
#include "shard/step_records.h"

namespace trireme {
namespace {

/// What one use gathers: the unit's flat buffer, or its frozen tensors where nothing else is in it; its frozen tensors; a tied
/// tensor.
struct Gathered {
  BufferId own = 0;
  std::optional<BufferId> frozen, tied;
};

enum class HeadOutput { gradient, loss, choice };

class Order {
 public:
  Order(std::string name, const ModelSpec& model, const StepSpec& spec, bool audits = false)
      : model_(model), spec_(spec), writer_(empty_schedule(std::move(name), spec)),
        run_(add_run_buffers(writer_, model, spec)), from_all_(writer_.from_list(spec.exporters())),
        to_all_(writer_.to_list(spec.all_ranks())), sums_(writer_, model, spec, run_), audits_(audits) {}
  Order(const Order&) = delete;

  void step_values(int batches) {
    Op op{.kind = OpKind::step_values, .writes = {run_.values, run_.sums, run_.tokens}};
    for (int turn = 0; turn < batches; ++turn) {
      batches_.push_back(writer_.add(fmt::format("batch.{}", turn), Role::data, DType::i32, model_.batch_elems));
      if (spec_.takes_part(turn)) op.writes.push_back(batches_.back());
    }
    if (audits_) {
      batches_.push_back(writer_.add("batch.audit", Role::data, DType::i32, model_.batch_elems));
      if (spec_.takes_part(0)) op.writes.push_back(batches_.back());
    }
    writer_.add(std::move(op));
  }

  void forward_embedding(int turn, const std::vector<int>& to) {
    turn_ = turn;
    microbatch_ = spec_.microbatch(turn);
    first_layer(to);
  }
  /// Forward and backward of the right neighbour's first microbatch, for its hashes alone, and the exchange of hashes.
  void replay(int turn, const std::vector<int>& to);
  /// All segments of all blocks. Leaves in x_ the input of every segment and of the head.
  void forward_blocks(const std::vector<int>& to) {
    for (std::size_t u = 1; u < head_unit(); ++u) forward_unit(u, to);
  }

  void head(HeadOutput output, const std::vector<int>& to);
  void backward(const std::vector<int>& to);
  void add_accumulators() { sums_.add_accumulators(trains_tied() ? std::optional(tied_range()) : std::nullopt); }
  void finish_step();
  void sum_tokens() { writer_.add(collective(OpKind::all_reduce, {run_.tokens}, {run_.tokens}, sizeof(TokenCount))); }
  void all_reduce() {
    writer_.add(collective(OpKind::all_reduce, {run_.sums}, {run_.sums}, sizeof(StepSums)));
  }
  void verdict() {
    writer_.add(Op{.kind = OpKind::verdict, .reads = {run_.sums, run_.values, run_.counters},
                   .writes = {run_.verdict, run_.counters}});
  }
  void init(Bytes load_staging_bytes);

  Schedule take() { return writer_.take(); }

 private:
  void first_layer(const std::vector<int>& to) {
    x_.clear();
    saved_.resize(model_.units.size());
    forward_unit(0, to);
  }
  const UnitSpec& unit(std::size_t u) const { return model_.units[u]; }
  std::size_t head_unit() const { return model_.head(); }
  std::size_t tied_owner() const { return model_.owner(*unit(head_unit()).tied); }
  FlatRange tied_range() const { return run_.layouts[tied_owner()].tensor(unit(head_unit()).tied->tensor); }
  bool trains_tied() const { return unit(head_unit()).tied && unit(tied_owner()).kind != UnitKind::frozen; }
  // Below it nothing is trained: no backward.
  std::size_t lowest_trained() const {
    std::size_t u = 0;
    while (u < head_unit() && !sums_.is_trained(u)) ++u;
    return u;
  }
  BufferId activations(std::string name) {
    return writer_.add(std::move(name), Role::activations, spec_.compute, model_.activation_elems);
  }
  BufferId workspace(Bytes bytes) {
    return writer_.add(fmt::format("ws.{}", writer_.schedule().ops.size()), Role::workspace, DType::byte, bytes);
  }
  Op compute(OpKind kind, std::size_t u, std::size_t s) const {
    return Op{.kind = kind, .unit = static_cast<int>(u), .segment = static_cast<int>(s),
              .microbatch = microbatch_};
  }
  Op collective(OpKind kind, std::vector<BufferId> reads, std::vector<BufferId> writes, Bytes bytes) {
    return Op{.kind = kind, .stream = StreamId::comm, .group = Group::data, .reads = std::move(reads),
              .writes = std::move(writes), .bytes = bytes, .from = from_all_, .to = to_all_};
  }

  Gathered gather(std::size_t u, const std::vector<int>& to);
  BufferId gather_range(std::size_t owner, FlatRange range, std::string name, const std::vector<int>& to);
  void forward_unit(std::size_t u, const std::vector<int>& to) {
    const Gathered full = gather(u, to);
    saved_[u].clear();
    for (std::size_t s = 0; s < unit(u).segments.size(); ++s) forward_segment(u, s, full);
  }
  void forward_segment(std::size_t u, std::size_t s, const Gathered& full);
  void head_backward(Op op, BufferId sums);
  void backward_unit(std::size_t u, BufferId& d_out, const std::vector<int>& to);
  BufferId add_gradient(std::size_t owner, Elems elems, std::string_view tag);
  void round(const Gradient& gradient, BufferId chain);
  void whole(const std::vector<std::pair<Gradient, Accumulator>>& gradients);
  void hash(const Gradient& gradient, BufferId hashes);
  void exchange_hashes();

  const ModelSpec& model_;
  const StepSpec& spec_;
  ScheduleWriter writer_;
  RunBuffers run_;
  std::int32_t from_all_ = 0, to_all_ = 0;  // lists of all ranks
  GradientSums sums_;
  std::vector<BufferId> batches_;
  bool audits_, is_replay_ = false;
  int turn_ = 0, microbatch_ = 0, use_ = 0;
  std::vector<BufferId> x_;                    // outputs of the segments so far, in order
  std::vector<std::vector<BufferId>> saved_;   // [unit][segment]
  BufferId d_head_ = 0;                        // gradient of the head's input
  std::optional<BufferId> head_gradient_, tied_gradient_;
  bool has_hashes_ = false;  // of the microbatch under way
};

BufferId Order::gather_range(std::size_t owner, FlatRange range, std::string name, const std::vector<int>& to) {
  const BufferId full = writer_.add(std::move(name), Role::gathered, spec_.compute, range.elems);
  Op op = collective(OpKind::gather, {run_.units[owner].exported}, {full}, range.elems * size_bytes(spec_.compute));
  op.unit = static_cast<int>(owner);
  op.range = range;
  op.to = writer_.to_list(to);
  writer_.add(std::move(op));
  return full;
}

Gathered Order::gather(std::size_t u, const std::vector<int>& to) {
  Gathered full;
  const auto gather_unit = [&](std::size_t of) {
    return gather_range(of, run_.layouts[of].whole(), fmt::format("full{}.{}", of, use_), to);
  };
  if (!run_.layouts[u].is_empty()) full.own = gather_unit(u);
  if (unit(u).frozen) full.frozen = gather_unit(static_cast<std::size_t>(*unit(u).frozen));
  if (run_.layouts[u].is_empty()) full.own = *std::exchange(full.frozen, std::nullopt);
  if (unit(u).tied) full.tied = gather_range(tied_owner(), tied_range(), fmt::format("tied{}.{}", u, use_), to);
  ++use_;
  return full;
}

void Order::forward_segment(std::size_t u, std::size_t s, const Gathered& full) {
  const SegmentSpec& segment = unit(u).segments[s];
  const BufferId batch = batches_[static_cast<std::size_t>(turn_)];
  Op op = compute(OpKind::forward, u, s);
  const BufferId out = activations(fmt::format("x{}.{}.{}", u, s, turn_));
  if (unit(u).kind == UnitKind::embedding) {
    op.reads = {full.own, batch};
    op.writes = {out};
  } else {
    const BufferId saved = writer_.add(fmt::format("saved{}.{}.{}", u, s, turn_), Role::activations, DType::byte,
                                       segment.saved_bytes);
    saved_[u].push_back(saved);
    op.reads = {full.own, x_.back(), batch, run_.constants};
    op.writes = {out, saved};
  }
  if (full.frozen) op.reads.push_back(*full.frozen);
  op.writes.push_back(workspace(segment.forward_workspace_bytes));
  x_.push_back(out);
  writer_.add(std::move(op));
}

BufferId Order::add_gradient(std::size_t owner, Elems elems, std::string_view tag) {
  // What is added to a group's sum first, or hashed, is read by no peer.
  return writer_.add(fmt::format("{}{}.{}", tag, owner, turn_), Role::gradients, spec_.wire, elems,
                     !spec_.takes_whole_groups() && !is_replay_);
}

void Order::head(HeadOutput output, const std::vector<int>& to) {
  const std::size_t u = head_unit();
  const Gathered full = gather(u, to);
  const bool choose = output == HeadOutput::choice;
  const SegmentSpec& segment = unit(u).segments[choose ? 1 : 0];
  Op op = compute(output == HeadOutput::gradient ? OpKind::forward_backward : OpKind::forward, u, choose ? 1 : 0);
  op.reads = {full.own, x_.back(), batches_[static_cast<std::size_t>(turn_)], run_.constants};
  const BufferId sums = is_replay_ ? *run_.replayed_sums : run_.sums;
  switch (output) {
    case HeadOutput::gradient: op.reads.insert(op.reads.end(), {run_.tokens, sums}); break;
    case HeadOutput::loss: op.reads.push_back(sums); break;
    case HeadOutput::choice: op.reads.push_back(run_.values); break;
  }
  if (full.tied) op.reads.push_back(*full.tied);
  if (full.frozen) op.reads.push_back(*full.frozen);
  if (output == HeadOutput::gradient) return head_backward(std::move(op), sums);
  if (choose) op.writes = {run_.choice};
  else op.writes = {run_.sums};
  op.writes.push_back(workspace(segment.forward_workspace_bytes));
  writer_.add(std::move(op));
}

// Its gradients are chains in f32 where the head goes through its tokens in several chunks.
void Order::head_backward(Op op, BufferId sums) {
  const std::size_t u = head_unit();
  const bool chain = model_.head_chain && spec_.wire != DType::f32;
  std::vector<std::pair<BufferId, Gradient>> chains;
  const auto gradient = [&](std::size_t owner, const FlatRange& range, std::string_view tag) {
    if (!chain) return add_gradient(u, range.elems, tag);
    const BufferId sum = writer_.add(fmt::format("chain.{}{}.{}", tag, u, turn_), Role::gradients, DType::f32, range.elems);
    chains.push_back({sum, {owner, range, add_gradient(u, range.elems, tag)}});
    return sum;
  };
  d_head_ = activations(fmt::format("dx{}.{}", u, turn_));
  head_gradient_.reset();
  tied_gradient_.reset();
  op.writes = {d_head_};
  if (sums_.is_trained(u)) op.writes.push_back(*(head_gradient_ = gradient(u, run_.layouts[u].whole(), "grad")));
  op.writes.insert(op.writes.end(), {sums, workspace(unit(u).segments[0].backward_workspace_bytes)});
  if (trains_tied()) op.writes.push_back(*(tied_gradient_ = gradient(u, tied_range(), "grad.tied")));
  writer_.add(std::move(op));
  for (const auto& [sum, rounded] : chains) {
    round(rounded, sum);
    (sum == head_gradient_ ? head_gradient_ : tied_gradient_) = rounded.buffer;
  }
}

void Order::round(const Gradient& gradient, BufferId chain) {
  Op op = compute(OpKind::round, gradient.owner, 0);
  op.segment.reset();
  op.range = gradient.range;
  op.reads = {chain};
  op.writes = {gradient.buffer};
  writer_.add(std::move(op));
}

// Gradients are as one op left them: in an audit into the hashes, then each to its sum.
void Order::whole(const std::vector<std::pair<Gradient, Accumulator>>& gradients) {
  for (const auto& [gradient, to] : gradients) {
    if (is_replay_) hash(gradient, *run_.replayed_hashes);
    else if (audits_ && turn_ == 0) hash(gradient, *run_.own_hashes);
  }
  for (const auto& [gradient, to] : gradients)
    if (!is_replay_) sums_.add(gradient, to, turn_);
}

void Order::hash(const Gradient& gradient, BufferId hashes) {
  const bool is_first = !std::exchange(has_hashes_, true);
  Op op{.kind = OpKind::hash, .unit = static_cast<int>(gradient.owner), .microbatch = microbatch_,
        .reads = {gradient.buffer}, .writes = {hashes}, .range = gradient.range};
  if (!is_first) op.reads.push_back(hashes);
  writer_.add(std::move(op));
}

void Order::replay(int turn, const std::vector<int>& to) {
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
void Order::exchange_hashes() {
  const auto message = [&](OpKind kind, int peer) {
    return Op{.kind = kind, .stream = StreamId::comm, .group = Group::data, .peer = peer};
  };
  Op send = message(OpKind::send, spec_.neighbour(-1)), receive = message(OpKind::receive, spec_.neighbour(1));
  send.reads = {*run_.own_hashes};
  receive.writes = {*run_.received_hashes};
  send.bytes = receive.bytes = writer_.schedule().buffers[static_cast<std::size_t>(*run_.own_hashes)].bytes();
  const bool sends_first = spec_.rank % 2 == 0;
  writer_.add(sends_first ? send : receive);
  writer_.add(sends_first ? receive : send);
}

void Order::backward_unit(std::size_t u, BufferId& d_out, const std::vector<int>& to) {
  const Gathered full = gather(u, to);
  const BufferId batch = batches_[static_cast<std::size_t>(turn_)];
  std::optional<BufferId> gradient;
  if (sums_.is_trained(u)) gradient = add_gradient(u, run_.layouts[u].full_elems(), "grad");
  for (std::size_t s = unit(u).segments.size(); s-- > 0;) {
    x_.pop_back();
    const BufferId d_x = activations(fmt::format("dx{}.{}.{}", u, s, turn_));
    Op op = compute(OpKind::backward, u, s);
    op.reads = {full.own, d_out, x_.back(), saved_[u][s], batch, run_.constants};
    if (full.frozen) op.reads.push_back(*full.frozen);
    op.writes = {d_x};
    if (gradient) op.writes.push_back(*gradient);
    op.writes.push_back(workspace(unit(u).segments[s].backward_workspace_bytes));
    writer_.add(std::move(op));
    d_out = d_x;
  }
  if (gradient) whole({{{u, run_.layouts[u].whole(), *gradient}, sums_.unit(u)}});
}

void Order::backward(const std::vector<int>& to) {
  const std::size_t last = head_unit();
  std::vector<std::pair<Gradient, Accumulator>> of_head;
  if (head_gradient_) of_head.push_back({{last, run_.layouts[last].whole(), *head_gradient_}, sums_.unit(last)});
  if (tied_gradient_) of_head.push_back({{tied_owner(), tied_range(), *tied_gradient_}, sums_.tied()});
  whole(of_head);
  BufferId d_out = d_head_;
  const std::size_t lowest = lowest_trained();
  for (std::size_t u = last - 1; u > 0 && u >= lowest; --u) backward_unit(u, d_out, to);
  if (lowest > 0) return;

  // The embedding's backward reads no parameters: no gather.
  const BufferId gradient = add_gradient(0, run_.layouts[0].full_elems(), "grad");
  Op op = compute(OpKind::backward, 0, 0);
  op.reads = {d_out, batches_[static_cast<std::size_t>(turn_)]};
  op.writes = {gradient, workspace(unit(0).segments[0].backward_workspace_bytes)};
  writer_.add(std::move(op));
  whole({{{0, run_.layouts[0].whole(), gradient}, sums_.unit(0)}});
}

void Order::finish_step() {
  // In the order in which the reduces end: the others' squares are summed while the last reduce, of unit 0, is under way.
  for (std::size_t u = model_.units.size(); u-- > 0;) {
    if (!sums_.is_trained(u)) continue;
    if (trains_tied() && u == tied_owner())
      writer_.add(Op{.kind = OpKind::add_uses, .unit = static_cast<int>(u), .reads = {sums_.unit(u).sum, sums_.tied().sum},
                     .writes = {sums_.unit(u).sum}, .range = tied_range()});
    writer_.add(Op{.kind = OpKind::square_sum, .unit = static_cast<int>(u), .reads = {sums_.unit(u).sum, run_.sums},
                   .writes = {run_.sums}, .range = run_.layouts[u].whole()});
  }
  all_reduce();
  verdict();
  for (std::size_t u = 0; u < model_.units.size(); ++u) {
    if (!sums_.is_trained(u)) continue;
    const StateBuffers& state = run_.units[u];
    Op op{.kind = OpKind::update, .unit = static_cast<int>(u), .reads = {sums_.unit(u).sum, run_.verdict, state.master},
          .writes = {state.master}, .range = run_.layouts[u].whole()};
    op.reads.insert(op.reads.end(), state.states.begin(), state.states.end());
    op.writes.insert(op.writes.end(), state.states.begin(), state.states.end());
    if (state.exported != state.master) op.writes.push_back(state.exported);
    writer_.add(std::move(op));
  }
}

void Order::init(Bytes load_staging_bytes) {
  std::optional<BufferId> staging;
  if (load_staging_bytes > 0) staging = writer_.add("staging", Role::data, DType::byte, load_staging_bytes);
  for (std::size_t u = 0; u < model_.units.size(); ++u) {
    if (run_.layouts[u].is_empty()) continue;
    const StateBuffers& state = run_.units[u];
    Op op{.kind = staging ? OpKind::read : OpKind::init, .unit = static_cast<int>(u), .writes = {state.master}, .range = run_.layouts[u].whole()};
    op.writes.insert(op.writes.end(), state.states.begin(), state.states.end());
    if (state.exported != state.master) op.writes.push_back(state.exported);
    if (staging) op.writes.push_back(*staging);
    writer_.add(std::move(op));
  }
  writer_.add(Op{.kind = OpKind::init, .writes = {run_.constants, run_.counters}});
}

// Forward and backward of every turn.
void add_turns(Order& order, const StepSpec& spec) {
  order.step_values(spec.turns());
  order.add_accumulators();
  for (int turn = 0; turn < spec.turns(); ++turn) {
    const std::vector<int> to = spec.ranks_in(turn);
    order.forward_embedding(turn, to);
    // Behind the first compute, so that it hides behind forward: the first head needs it.
    if (turn == 0) order.sum_tokens();
    order.forward_blocks(to);
    order.head(HeadOutput::gradient, to);
    order.backward(to);
  }
}

}  // namespace

Schedule order_step(const ModelSpec& model, const StepSpec& spec) {
  Order order("step", model, spec);
  add_turns(order, spec);
  order.finish_step();
  return order.take();
}

Schedule order_step_with_audit(const ModelSpec& model, const StepSpec& spec) {
  Order order("step_with_audit", model, spec, true);
  add_turns(order, spec);
  order.replay(spec.turns(), spec.ranks_in(0));
  order.finish_step();
  return order.take();
}

Schedule order_diagnose(const ModelSpec& model, const StepSpec& spec) {
  Order order("diagnose", model, spec);
  add_turns(order, spec);
  return order.take();
}

Schedule order_validate(const ModelSpec& model, const StepSpec& spec) {
  Order order("validate", model, spec);
  order.step_values(1);
  order.forward_embedding(0, spec.all_ranks());
  order.forward_blocks(spec.all_ranks());
  order.head(HeadOutput::loss, spec.all_ranks());
  order.all_reduce();
  return order.take();
}

Schedule order_sample(const ModelSpec& model, const StepSpec& spec) {
  Order order("sample", model, spec);
  order.step_values(1);
  order.forward_embedding(0, spec.all_ranks());
  order.forward_blocks(spec.all_ranks());
  order.head(HeadOutput::choice, spec.all_ranks());
  return order.take();
}

Schedule order_init(const ModelSpec& model, const StepSpec& spec) {
  Order order("init", model, spec);
  order.init(0);
  return order.take();
}

Schedule order_load(const ModelSpec& model, const StepSpec& spec, Bytes staging_bytes) {
  Order order("load", model, spec);
  order.init(staging_bytes);
  return order.take();
}

}  // namespace trireme
