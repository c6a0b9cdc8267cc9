#pragma once
// Writes the ops of one schedule in compute order: what compute_order.cpp puts together.

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shard/order/gradient_sums.h"
#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"
#include "shard/step_records.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// What one use gathers: the unit's flat buffer, or its frozen tensors where nothing else is in it; its frozen tensors;
/// a tied tensor.
struct Gathered {
  BufferId own = 0;
  std::optional<BufferId> frozen, tied;
};

enum class HeadOutput { gradient, loss, choice };

/// Which operands an op has is said in runtime/schedule/op_kinds.cpp.
class OrderWriter {
 public:
  OrderWriter(ScheduleKind kind, const ModelSpec& model, const StepSpec& spec, bool audits = false)
      : model_(model),
        spec_(spec),
        writer_(empty_schedule(kind, spec)),
        run_(add_run_buffers(writer_, model, spec)),
        from_all_(writer_.from_list(spec.exporters())),
        to_all_(writer_.to_list(spec.all_ranks())),
        sums_(writer_, model, spec, run_),
        audits_(audits) {}
  OrderWriter(const OrderWriter&) = delete;

  void step_values(int batches) {
    Op op{.kind = OpKind::step_values,
          .operands = {writes(Slot::tokens, run_.tokens), writes(Slot::values, run_.values),
                       writes(Slot::sums, run_.sums)}};
    for (int turn = 0; turn < batches; ++turn) {
      batches_.push_back(writer_.add(fmt::format("batch.{}", turn), Role::data, DType::i32, model_.batch_elems));
      if (spec_.takes_part(turn)) op.add(writes(Slot::batches, batches_.back()));
    }
    if (audits_) {
      batches_.push_back(writer_.add("batch.audit", Role::data, DType::i32, model_.batch_elems));
      if (spec_.takes_part(0)) op.add(writes(Slot::audit_batch, batches_.back()));
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
  void sum_tokens() {
    writer_.add(collective(OpKind::all_reduce, {updates(Slot::sums, run_.tokens)}, sizeof(TokenCount)));
  }
  void all_reduce() { writer_.add(collective(OpKind::all_reduce, {updates(Slot::sums, run_.sums)}, sizeof(StepSums))); }
  void verdict() {
    writer_.add(Op{.kind = OpKind::verdict,
                   .operands = {reads(Slot::values, run_.values), reads(Slot::sums, run_.sums),
                                updates(Slot::counters, run_.counters), writes(Slot::verdict, run_.verdict)}});
  }
  void init(Bytes load_staging_bytes);

  Schedule take() { return writer_.take(); }

 private:
  static constexpr std::size_t most_operands = 16;

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
    Op op{.kind = kind, .unit = static_cast<int>(u), .segment = static_cast<int>(s), .microbatch = microbatch_};
    op.operands.reserve(most_operands);
    return op;
  }
  Op collective(OpKind kind, std::vector<Operand> operands, Bytes bytes) {
    return Op{.kind = kind,
              .stream = StreamId::comm,
              .group = Group::data,
              .operands = std::move(operands),
              .bytes = bytes,
              .from = from_all_,
              .to = to_all_};
  }

  Gathered gather(std::size_t u, const std::vector<int>& to);
  BufferId gather_range(std::size_t owner, FlatRange range, std::string name, const std::vector<int>& to);
  void forward_unit(std::size_t u, const std::vector<int>& to) {
    const Gathered full = gather(u, to);
    saved_[u].clear();
    for (std::size_t s = 0; s < unit(u).segments.size(); ++s) forward_segment(u, s, full);
  }
  void forward_segment(std::size_t u, std::size_t s, const Gathered& full);
  static void add_parameters(Op& op, const Gathered& full);
  void head_backward(Op op);
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
  std::vector<BufferId> x_;                   // outputs of the segments so far, in order
  std::vector<std::vector<BufferId>> saved_;  // [unit][segment]
  BufferId d_head_ = 0;                       // gradient of the head's input
  std::optional<BufferId> head_gradient_, tied_gradient_;
  bool has_hashes_ = false;  // of the microbatch under way
};

}  // namespace trireme
