#include "shard/order/order_writer.h"

#include <algorithm>

namespace trireme {

BufferId OrderWriter::gather_range(std::size_t owner, FlatRange range, std::string name, const std::vector<int>& to) {
  const BufferId full = writer_.add(std::move(name), Role::gathered, spec_.compute, range.elems);
  Op op = collective(OpKind::gather, {reads(Slot::slice, run_.units[owner].exported), writes(Slot::full, full)},
                     range.elems * size_bytes(spec_.compute));
  op.wire = spec_.compute;
  op.unit = static_cast<int>(owner);
  op.range = range;
  op.to = writer_.to_list(to);
  writer_.add(std::move(op));
  return full;
}

Gathered OrderWriter::gather(std::size_t u, const std::vector<int>& to) {
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

void OrderWriter::add_parameters(Op& op, const Gathered& full) {
  op.add(reads(Slot::parameters, full.own));
  if (full.frozen) op.add(reads(Slot::frozen, *full.frozen));
  if (full.tied) op.add(reads(Slot::tied, *full.tied));
}

void OrderWriter::forward_segment(std::size_t u, std::size_t s, const Gathered& full) {
  const SegmentSpec& segment = unit(u).segments[s];
  const BufferId batch = batches_[static_cast<std::size_t>(turn_)];
  Op op = compute(OpKind::forward, u, s);
  const BufferId out = activations(fmt::format("x{}.{}.{}", u, s, turn_));
  add_parameters(op, full);
  op.add(reads(Slot::batch, batch));
  op.add(writes(Slot::out, out));
  if (unit(u).kind != UnitKind::embedding) {
    saved_[u].push_back(
        writer_.add(fmt::format("saved{}.{}.{}", u, s, turn_), Role::activations, DType::byte, segment.saved_bytes));
    op.add(reads(Slot::x, x_.back()));
    op.add(writes(Slot::saved, saved_[u].back()));
    op.add(reads(Slot::constants, run_.constants));
  }
  op.add(writes(Slot::workspace, workspace(segment.forward_workspace_bytes)));
  x_.push_back(out);
  writer_.add(std::move(op));
}

BufferId OrderWriter::add_gradient(std::size_t owner, Elems elems, std::string_view tag) {
  // What is added to a group's sum first, or hashed, is read by no peer.
  return writer_.add(fmt::format("{}{}.{}", tag, owner, turn_), Role::gradients, spec_.wire, elems,
                     !spec_.takes_whole_groups() && !is_replay_);
}

void OrderWriter::head(HeadOutput output, const std::vector<int>& to) {
  const std::size_t u = head_unit();
  const Gathered full = gather(u, to);
  const bool choose = output == HeadOutput::choice;
  const SegmentSpec& segment = unit(u).segments[choose ? 1 : 0];
  Op op = compute(output == HeadOutput::gradient ? OpKind::forward_backward : OpKind::forward, u, choose ? 1 : 0);
  add_parameters(op, full);
  op.add(reads(Slot::x, x_.back()));
  op.add(reads(Slot::batch, batches_[static_cast<std::size_t>(turn_)]));
  op.add(reads(Slot::constants, run_.constants));
  switch (output) {
    case HeadOutput::gradient: return head_backward(std::move(op));
    case HeadOutput::loss: op.add(updates(Slot::sums, run_.sums)); break;
    case HeadOutput::choice:
      op.add(reads(Slot::values, run_.values));
      op.add(writes(Slot::choice, run_.choice));
      break;
  }
  op.add(writes(Slot::workspace, workspace(segment.forward_workspace_bytes)));
  writer_.add(std::move(op));
}

// Its gradients are chains in f32 where the head goes through its tokens in several chunks.
void OrderWriter::head_backward(Op op) {
  const std::size_t u = head_unit();
  const bool chain = model_.head_chain && spec_.wire != DType::f32;
  std::vector<std::pair<BufferId, Gradient>> chains;
  const auto gradient = [&](std::size_t owner, const FlatRange& range, std::string_view tag) {
    if (!chain) return add_gradient(u, range.elems, tag);
    const BufferId sum =
        writer_.add(fmt::format("chain.{}{}.{}", tag, u, turn_), Role::gradients, DType::f32, range.elems);
    chains.push_back({sum, {owner, range, add_gradient(u, range.elems, tag)}});
    return sum;
  };
  d_head_ = activations(fmt::format("dx{}.{}", u, turn_));
  head_gradient_.reset();
  tied_gradient_.reset();
  op.add(reads(Slot::tokens, run_.tokens));
  op.add(updates(Slot::sums, is_replay_ ? *run_.replayed_sums : run_.sums));
  op.add(writes(Slot::d_x, d_head_));
  if (sums_.is_trained(u))
    op.add(writes(Slot::gradient, *(head_gradient_ = gradient(u, run_.layouts[u].whole(), "grad"))));
  op.add(writes(Slot::workspace, workspace(unit(u).segments[0].backward_workspace_bytes)));
  if (trains_tied()) op.add(writes(Slot::tied_gradient, *(tied_gradient_ = gradient(u, tied_range(), "grad.tied"))));
  writer_.add(std::move(op));
  for (const auto& [sum, rounded] : chains) {
    round(rounded, sum);
    (sum == head_gradient_ ? head_gradient_ : tied_gradient_) = rounded.buffer;
  }
}

void OrderWriter::round(const Gradient& gradient, BufferId chain) {
  Op op = compute(OpKind::round, gradient.owner, 0);
  op.segment.reset();
  op.range = gradient.range;
  op.operands = {writes(Slot::gradient, gradient.buffer), reads(Slot::chain, chain)};
  writer_.add(std::move(op));
}

// Gradients are as one op left them: in an audit into the hashes, then each to its sum.
void OrderWriter::whole(const std::vector<std::pair<Gradient, Accumulator>>& gradients) {
  for (const auto& [gradient, to] : gradients) {
    if (is_replay_)
      hash(gradient, *run_.replayed_hashes);
    else if (audits_ && turn_ == 0)
      hash(gradient, *run_.own_hashes);
  }
  for (const auto& [gradient, to] : gradients)
    if (!is_replay_) sums_.add(gradient, to, turn_);
}

void OrderWriter::backward_unit(std::size_t u, BufferId& d_out, const std::vector<int>& to) {
  const Gathered full = gather(u, to);
  const BufferId batch = batches_[static_cast<std::size_t>(turn_)];
  std::optional<BufferId> gradient;
  if (sums_.is_trained(u)) gradient = add_gradient(u, run_.layouts[u].full_elems(), "grad");
  for (std::size_t s = unit(u).segments.size(); s-- > 0;) {
    x_.pop_back();
    const BufferId d_x = activations(fmt::format("dx{}.{}.{}", u, s, turn_));
    Op op = compute(OpKind::backward, u, s);
    add_parameters(op, full);
    op.add(reads(Slot::d_out, d_out));
    op.add(reads(Slot::x, x_.back()));
    op.add(reads(Slot::saved, saved_[u][s]));
    op.add(reads(Slot::batch, batch));
    op.add(reads(Slot::constants, run_.constants));
    op.add(writes(Slot::d_x, d_x));
    if (gradient) op.add(writes(Slot::gradient, *gradient));
    op.add(writes(Slot::workspace, workspace(unit(u).segments[s].backward_workspace_bytes)));
    writer_.add(std::move(op));
    d_out = d_x;
  }
  if (gradient) whole({{{u, run_.layouts[u].whole(), *gradient}, sums_.unit(u)}});
}

void OrderWriter::backward(const std::vector<int>& to) {
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
  op.operands = {writes(Slot::gradient, gradient), reads(Slot::d_out, d_out),
                 reads(Slot::batch, batches_[static_cast<std::size_t>(turn_)]),
                 writes(Slot::workspace, workspace(unit(0).segments[0].backward_workspace_bytes))};
  writer_.add(std::move(op));
  whole({{{0, run_.layouts[0].whole(), gradient}, sums_.unit(0)}});
}

}  // namespace trireme
