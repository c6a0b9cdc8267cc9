#include "shard/passes/compute_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "shard/operands.h"
#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"
#include "shard/step_records.h"

namespace trireme {
namespace {

/// What one use gathers.
struct Gathered {
  BufferId own = 0;
  std::optional<BufferId> tied;
};

/// The gradient accumulators of a run: one slice per use of a tensor.
struct Accumulators {
  std::vector<BufferId> unit;
  BufferId tied = 0;
  bool holds_a_sum = false;  // later rounds add
};

enum class HeadOutput { gradient, loss, choice };

class Order {
 public:
  Order(std::string name, const ModelSpec& model, const StepSpec& spec)
      : model_(model), spec_(spec), writer_(empty_schedule(std::move(name), spec)),
        run_(add_run_buffers(writer_, model, spec)), to_all_(writer_.to_list(all_ranks())) {
    std::vector<Contribution> from;
    for (int rank : all_ranks()) from.push_back({rank, {}});
    from_all_ = writer_.from_list(from);
  }

  void step_values(int batches) {
    Op op{.kind = OpKind::step_values, .writes = {run_.values, run_.sums, run_.tokens}};
    for (int round = 0; round < batches; ++round) {
      batches_.push_back(writer_.add(fmt::format("batch.{}", round), Role::data, DType::i32, model_.batch_elems));
      if (spec_.takes_part(round)) op.writes.push_back(batches_.back());
    }
    writer_.add(std::move(op));
  }

  void forward_embedding(int round, const std::vector<int>& to) {
    round_ = round;
    x_.clear();
    saved_.resize(model_.units.size());
    forward_unit(0, to);
  }
  /// All segments of all blocks. Leaves in x_ the input of every segment and of the head.
  void forward_blocks(const std::vector<int>& to) {
    for (std::size_t u = 1; u + 1 < model_.units.size(); ++u) forward_unit(u, to);
  }

  void head(HeadOutput output, const std::vector<int>& to);
  void backward(const std::vector<int>& to, Accumulators& sums);
  void reduce_all(Accumulators& accumulators);
  Accumulators add_accumulators();
  void finish_step(const Accumulators& accumulators);
  void sum_tokens() { writer_.add(collective(OpKind::all_reduce, {run_.tokens}, {run_.tokens}, sizeof(TokenCount))); }
  void all_reduce() {
    writer_.add(collective(OpKind::all_reduce, {run_.sums}, {run_.sums}, sizeof(StepSums)));
  }
  void verdict() {
    writer_.add(Op{.kind = OpKind::verdict, .reads = {run_.sums, run_.values, run_.counters},
                   .writes = {run_.verdict, run_.counters}});
  }
  void init(Bytes load_staging_bytes);

  std::vector<int> ranks_in(int round) const {
    const int first = round * spec_.ranks();
    std::vector<int> ranks(static_cast<std::size_t>(std::min(spec_.ranks(), spec_.microbatches - first)));
    std::iota(ranks.begin(), ranks.end(), 0);
    return ranks;
  }
  std::vector<int> all_ranks() const {
    std::vector<int> ranks(static_cast<std::size_t>(spec_.ranks()));
    std::iota(ranks.begin(), ranks.end(), 0);
    return ranks;
  }
  Schedule take() { return writer_.take(); }

 private:
  const UnitSpec& unit(std::size_t u) const { return model_.units[u]; }
  std::size_t head_unit() const { return model_.units.size() - 1; }
  FlatRange tied_range() const {
    const TiedTensor tied = *unit(head_unit()).tied;
    return run_.layouts[static_cast<std::size_t>(tied.unit)].tensor(tied.tensor);
  }
  BufferId activations(std::string name) {
    return writer_.add(std::move(name), Role::activations, spec_.compute, model_.activation_elems);
  }
  BufferId workspace(Bytes bytes) {
    return writer_.add(fmt::format("ws.{}", writer_.schedule().ops.size()), Role::workspace, DType::byte, bytes);
  }
  Op compute(OpKind kind, std::size_t u, std::size_t s) const {
    return Op{.kind = kind, .unit = static_cast<int>(u), .segment = static_cast<int>(s),
              .microbatch = spec_.microbatch(round_)};
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
  void backward_unit(std::size_t u, BufferId& d_out, const std::vector<int>& to, Accumulators& sums);
  BufferId add_gradient(std::size_t owner, Elems elems, std::string_view tag);
  void reduce(std::size_t owner, FlatRange range, BufferId gradient, BufferId accumulator, const Accumulators& sums);
  void round(std::size_t owner, FlatRange range, BufferId chain, BufferId gradient);

  const ModelSpec& model_;
  const StepSpec& spec_;
  ScheduleWriter writer_;
  RunBuffers run_;
  std::int32_t from_all_ = 0, to_all_ = 0;  // lists of all ranks
  std::vector<BufferId> batches_;
  int round_ = 0, use_ = 0;
  std::vector<BufferId> x_;                    // outputs of the segments so far, in order
  std::vector<std::vector<BufferId>> saved_;   // [unit][segment]
  BufferId d_head_ = 0;                        // gradient of the head's input
  BufferId head_gradient_ = 0;
  std::optional<BufferId> tied_gradient_;
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
  full.own = gather_range(u, run_.layouts[u].whole(), fmt::format("full{}.{}", u, use_), to);
  if (const auto tied = unit(u).tied)
    full.tied = gather_range(static_cast<std::size_t>(tied->unit), tied_range(), fmt::format("tied{}.{}", u, use_), to);
  ++use_;
  return full;
}

void Order::forward_segment(std::size_t u, std::size_t s, const Gathered& full) {
  const SegmentSpec& segment = unit(u).segments[s];
  const BufferId batch = batches_[static_cast<std::size_t>(round_)];
  Op op = compute(OpKind::forward, u, s);
  const BufferId out = activations(fmt::format("x{}.{}.{}", u, s, round_));
  if (unit(u).kind == UnitKind::embedding) {
    op.reads = {full.own, batch};
    op.writes = {out};
  } else {
    const BufferId saved = writer_.add(fmt::format("saved{}.{}.{}", u, s, round_), Role::activations, DType::byte,
                                       segment.saved_bytes);
    saved_[u].push_back(saved);
    op.reads = {full.own, x_.back(), batch, run_.constants};
    op.writes = {out, saved};
  }
  op.writes.push_back(workspace(segment.forward_workspace_bytes));
  x_.push_back(out);
  writer_.add(std::move(op));
}

BufferId Order::add_gradient(std::size_t owner, Elems elems, std::string_view tag) {
  return writer_.add(fmt::format("{}{}.{}", tag, owner, round_), Role::gradients, spec_.wire, elems, true);
}

void Order::head(HeadOutput output, const std::vector<int>& to) {
  const std::size_t u = head_unit();
  const Gathered full = gather(u, to);
  const bool choose = output == HeadOutput::choice;
  const SegmentSpec& segment = unit(u).segments[choose ? 1 : 0];
  Op op = compute(output == HeadOutput::gradient ? OpKind::forward_backward : OpKind::forward, u, choose ? 1 : 0);
  op.reads = {full.own, x_.back(), batches_[static_cast<std::size_t>(round_)], run_.constants};
  switch (output) {
    case HeadOutput::gradient: op.reads.insert(op.reads.end(), {run_.tokens, run_.sums}); break;
    case HeadOutput::loss: op.reads.push_back(run_.sums); break;
    case HeadOutput::choice: op.reads.push_back(run_.values); break;
  }
  if (full.tied) op.reads.push_back(*full.tied);
  if (output == HeadOutput::gradient) {
    const bool chain = model_.head_chain && spec_.wire != DType::f32;
    const FlatRange whole = run_.layouts[u].whole();
    const auto gradient = [&](Elems elems, std::string_view tag) {
      return chain ? writer_.add(fmt::format("chain.{}{}.{}", tag, u, round_), Role::gradients, DType::f32, elems)
                   : add_gradient(u, elems, tag);
    };
    d_head_ = activations(fmt::format("dx{}.{}", u, round_));
    const BufferId own = gradient(whole.elems, "grad");
    std::optional<BufferId> tied;
    if (full.tied) tied = gradient(tied_range().elems, "grad.tied");
    op.writes = {d_head_, own, run_.sums, workspace(segment.backward_workspace_bytes)};
    if (tied) op.writes.push_back(*tied);
    writer_.add(std::move(op));
    head_gradient_ = own;
    tied_gradient_ = tied;
    if (chain) {
      head_gradient_ = add_gradient(u, whole.elems, "grad");
      round(u, whole, own, head_gradient_);
      if (tied) {
        tied_gradient_ = add_gradient(u, tied_range().elems, "grad.tied");
        round(u, tied_range(), *tied, *tied_gradient_);
      }
    }
    return;
  }
  if (choose) op.writes = {run_.choice};
  else op.writes = {run_.sums};
  op.writes.push_back(workspace(segment.forward_workspace_bytes));
  writer_.add(std::move(op));
}

void Order::round(std::size_t owner, FlatRange range, BufferId chain, BufferId gradient) {
  Op op = compute(OpKind::round, owner, 0);
  op.segment.reset();
  op.range = range;
  op.reads = {chain};
  op.writes = {gradient};
  writer_.add(std::move(op));
}

void Order::reduce(std::size_t owner, FlatRange range, BufferId gradient, BufferId accumulator,
                   const Accumulators& sums) {
  std::vector<Contribution> from;
  for (int rank : ranks_in(round_)) from.push_back({rank, round_ * spec_.ranks() + rank});
  Op op = collective(OpKind::reduce, {gradient}, {accumulator}, range.elems * size_bytes(spec_.wire));
  op.unit = static_cast<int>(owner);
  op.microbatch = from.front().microbatch;
  op.range = range;
  op.from = writer_.from_list(from);
  if (sums.holds_a_sum) op.reads.push_back(accumulator);
  const Elems staging = spec_.remote_contributors(round_) * range.owned_by(spec_.rank).elems;
  if (staging > 0)
    op.writes.push_back(writer_.add(fmt::format("staging.{}", writer_.schedule().ops.size()), Role::communication,
                                    spec_.wire, staging));
  writer_.add(std::move(op));
}

Accumulators Order::add_accumulators() {
  Accumulators sums;
  for (std::size_t u = 0; u < model_.units.size(); ++u)
    sums.unit.push_back(
        writer_.add(fmt::format("acc{}", u), Role::gradients, DType::f32, run_.layouts[u].slice_elems));
  if (unit(head_unit()).tied)
    sums.tied = writer_.add("acc.tied", Role::gradients, DType::f32, tied_range().owned_by(spec_.rank).elems);
  return sums;
}

void Order::backward_unit(std::size_t u, BufferId& d_out, const std::vector<int>& to, Accumulators& sums) {
  const Gathered full = gather(u, to);
  const BufferId batch = batches_[static_cast<std::size_t>(round_)];
  const BufferId gradient = add_gradient(u, run_.layouts[u].full_elems(), "grad");
  for (std::size_t s = unit(u).segments.size(); s-- > 0;) {
    x_.pop_back();
    const BufferId d_x = activations(fmt::format("dx{}.{}.{}", u, s, round_));
    Op op = compute(OpKind::backward, u, s);
    op.reads = {full.own, d_out, x_.back(), saved_[u][s], batch, run_.constants};
    op.writes = {d_x, gradient, workspace(unit(u).segments[s].backward_workspace_bytes)};
    writer_.add(std::move(op));
    d_out = d_x;
  }
  reduce(u, run_.layouts[u].whole(), gradient, sums.unit[u], sums);
}

void Order::backward(const std::vector<int>& to, Accumulators& sums) {
  const std::size_t last = head_unit();
  reduce(last, run_.layouts[last].whole(), head_gradient_, sums.unit[last], sums);
  if (tied_gradient_)
    reduce(static_cast<std::size_t>(unit(last).tied->unit), tied_range(), *tied_gradient_, sums.tied, sums);
  BufferId d_out = d_head_;
  for (std::size_t u = last - 1; u > 0; --u) backward_unit(u, d_out, to, sums);

  // The embedding's backward reads no parameters: no gather.
  const BufferId gradient = add_gradient(0, run_.layouts[0].full_elems(), "grad");
  Op op = compute(OpKind::backward, 0, 0);
  op.reads = {d_out, batches_[static_cast<std::size_t>(round_)]};
  op.writes = {gradient, workspace(unit(0).segments[0].backward_workspace_bytes)};
  writer_.add(std::move(op));
  reduce(0, run_.layouts[0].whole(), gradient, sums.unit[0], sums);
  sums.holds_a_sum = true;
}

void Order::finish_step(const Accumulators& sums) {
  // In the order in which the reduces end: the others' squares are summed while the last reduce, of unit 0, is under way.
  for (std::size_t u = model_.units.size(); u-- > 0;) {
    if (const auto tied = unit(head_unit()).tied; tied && u == static_cast<std::size_t>(tied->unit))
      writer_.add(Op{.kind = OpKind::add_uses, .unit = tied->unit, .reads = {sums.unit[u], sums.tied},
                     .writes = {sums.unit[u]}, .range = tied_range()});
    writer_.add(Op{.kind = OpKind::square_sum, .unit = static_cast<int>(u), .reads = {sums.unit[u], run_.sums},
                   .writes = {run_.sums}, .range = run_.layouts[u].whole()});
  }
  all_reduce();
  verdict();
  for (std::size_t u = 0; u < model_.units.size(); ++u) {
    const StateBuffers& state = run_.units[u];
    Op op{.kind = OpKind::update, .unit = static_cast<int>(u), .reads = {sums.unit[u], run_.verdict, state.master},
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
    const StateBuffers& state = run_.units[u];
    Op op{.kind = staging ? OpKind::read : OpKind::init, .unit = static_cast<int>(u), .writes = {state.master}, .range = run_.layouts[u].whole()};
    op.writes.insert(op.writes.end(), state.states.begin(), state.states.end());
    if (state.exported != state.master) op.writes.push_back(state.exported);
    if (staging) op.writes.push_back(*staging);
    writer_.add(std::move(op));
  }
  writer_.add(Op{.kind = OpKind::init, .writes = {run_.constants, run_.counters}});
}

}  // namespace

Schedule order_step(const ModelSpec& model, const StepSpec& spec) {
  Order order("step", model, spec);
  order.step_values(spec.rounds());
  Accumulators sums = order.add_accumulators();
  for (int round = 0; round < spec.rounds(); ++round) {
    const std::vector<int> to = order.ranks_in(round);
    order.forward_embedding(round, to);
    // Behind the first compute, so that it hides behind forward: the first head needs it.
    if (round == 0) order.sum_tokens();
    order.forward_blocks(to);
    order.head(HeadOutput::gradient, to);
    order.backward(to, sums);
  }
  order.finish_step(sums);
  return order.take();
}

Schedule order_validate(const ModelSpec& model, const StepSpec& spec) {
  Order order("validate", model, spec);
  order.step_values(1);
  order.forward_embedding(0, order.all_ranks());
  order.forward_blocks(order.all_ranks());
  order.head(HeadOutput::loss, order.all_ranks());
  order.all_reduce();
  return order.take();
}

Schedule order_sample(const ModelSpec& model, const StepSpec& spec) {
  Order order("sample", model, spec);
  order.step_values(1);
  order.forward_embedding(0, order.all_ranks());
  order.forward_blocks(order.all_ranks());
  order.head(HeadOutput::choice, order.all_ranks());
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
