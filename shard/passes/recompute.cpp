#include "shard/passes/recompute.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "shard/schedule_writer.h"

namespace trireme {
namespace {

class RecomputePass {
 public:
  RecomputePass(Schedule schedule, const ModelSpec& model, Recompute policy)
      : model_(model),
        policy_(policy),
        ops_(std::exchange(schedule.ops, {})),
        writer_(std::move(schedule), ops_.size()) {}

  Schedule run() {
    for (Op& op : ops_) {
      if (applies(op) && op.kind == OpKind::forward) drop_saved(op);
      if (applies(op) && op.kind == OpKind::backward) add_recomputes(op);
      writer_.add(std::move(op));
    }
    return writer_.take();
  }

 private:
  const UnitSpec& unit(const Op& op) const { return model_.units[static_cast<std::size_t>(*op.unit)]; }
  bool is_last(const Op& op) const { return *op.segment + 1 == static_cast<int>(unit(op).segments.size()); }

  bool applies(const Op& op) const {
    if (!op.unit || !op.segment || unit(op).kind != UnitKind::block) return false;
    return drops(policy_, unit(op).segments[static_cast<std::size_t>(*op.segment)].kind);
  }

  BufferId twin(BufferId id) {
    Buffer buffer = writer_.schedule().buffers[static_cast<std::size_t>(id)];
    buffer.name += ".dropped";
    return writer_.add(std::move(buffer));
  }
  BufferId replaced(BufferId id) const {
    const auto found = dropped_.find(id);
    return found == dropped_.end() ? id : found->second;
  }

  void drop_saved(Op& op) {
    forward_of_saved_[op.at(Slot::saved)] = op;
    forward_of_out_[op.at(Slot::out)] = op;
    op.find(Slot::x)->buffer = replaced(op.at(Slot::x));
    op.find(Slot::saved)->buffer = twin(op.at(Slot::saved));
    if (policy_ != Recompute::block || is_last(op)) return;
    const BufferId kept = op.at(Slot::out);
    op.find(Slot::out)->buffer = dropped_[kept] = twin(kept);
  }

  // Segments come last to first.
  void add_recomputes(const Op& backward) {
    if (policy_ == Recompute::block && !is_last(backward)) return;
    const Op& last = forward_of_saved_.at(backward.at(Slot::saved));
    std::vector<Op> forwards = {last};
    for (int s = *backward.segment; policy_ == Recompute::block && s > 0; --s)
      forwards.push_back(producer(forwards.back()));
    std::reverse(forwards.begin(), forwards.end());
    for (Op& op : forwards) {
      const bool needs_out = *op.segment != *backward.segment;
      op.kind = OpKind::recompute;
      for (const Slot gathered : {Slot::parameters, Slot::frozen})
        if (Operand* const parameters = op.find(gathered)) parameters->buffer = backward.at(gathered);
      op.find(Slot::workspace)->buffer = workspace_like(op.at(Slot::workspace));
      if (!needs_out) op.remove(Slot::out);
      writer_.add(std::move(op));
    }
  }

  BufferId workspace_like(BufferId id) {
    Buffer buffer = writer_.schedule().buffers[static_cast<std::size_t>(id)];
    buffer.name = "ws.r" + std::to_string(writer_.schedule().ops.size());
    return writer_.add(std::move(buffer));
  }

  // The forward op of the same block whose output `op` reads.
  const Op& producer(const Op& op) const { return forward_of_out_.at(op.at(Slot::x)); }

  const ModelSpec& model_;
  Recompute policy_;
  std::vector<Op> ops_;
  ScheduleWriter writer_;
  std::unordered_map<BufferId, BufferId> dropped_;     // activations between segments -> the twin forward used
  std::unordered_map<BufferId, Op> forward_of_saved_;  // as written first, by saved buffer
  std::unordered_map<BufferId, Op> forward_of_out_;    // by output
};

}  // namespace

Schedule recompute(Schedule schedule, const ModelSpec& model, Recompute policy) {
  if (policy == Recompute::none) return schedule;
  return RecomputePass(std::move(schedule), model, policy).run();
}

}  // namespace trireme
