#include "shard/passes/zero_stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"

namespace trireme {
namespace {

class ZeroStagePass {
 public:
  ZeroStagePass(Schedule schedule, const ModelSpec& model, const StepSpec& spec)
      : model_(model),
        spec_(spec),
        run_(run_buffers(model, spec)),
        ops_(std::exchange(schedule.ops, {})),
        writer_(std::move(schedule)) {
    parameters_.resize(model.units.size());
    for (std::size_t u = 0; u < model.units.size(); ++u)
      if (!run_.layouts[u].is_empty()) parameters_[u] = spec.zero == 0 ? widen(u) : replicate(u);
    if (spec.zero <= 1) keep_gradients();
  }

  Schedule run() {
    for (Op& op : ops_) {
      if (op.kind == OpKind::gather) {
        replaced_[op.at(Slot::full)] = parameters_[static_cast<std::size_t>(*op.unit)];
        continue;
      }
      replace(op.operands);
      if (spec_.zero == 0) hold_whole(op);
      const std::optional<std::size_t> published = spec_.zero > 0 ? exported_unit(run_, op) : std::nullopt;
      writer_.add(std::move(op));
      if (published) publish(*published);
    }
    return writer_.take();
  }

 private:
  Buffer& buffer(BufferId id) { return writer_.schedule().buffers[static_cast<std::size_t>(id)]; }
  FlatRange alone(std::size_t u) const { return FlatLayout(model_.units[u], 1).whole(); }

  // Stage 0: masters, states and parameters of a unit are whole on every rank.
  BufferId widen(std::size_t u) {
    const StateBuffers& state = run_.units[u];
    const auto grow = [&](BufferId id) { buffer(id).elems = alone(u).elems; };
    grow(state.master);
    std::for_each(state.states.begin(), state.states.end(), grow);
    buffer(state.exported).exported = false;
    if (state.exported == state.master) return state.master;
    grow(state.exported);
    buffer(state.exported).name = fmt::format("params{}", u);
    return state.exported;
  }

  // Stages 1, 2: parameters are whole, and what peers gather lives from the update to that gather.
  BufferId replicate(std::size_t u) {
    const StateBuffers& state = run_.units[u];
    if (state.exported != state.master) buffer(state.exported).lifetime = Lifetime::step;
    return writer_.add(Buffer{.name = fmt::format("params{}", u),
                              .role = Role::parameters,
                              .lifetime = Lifetime::persistent,
                              .type = spec_.compute,
                              .elems = run_.layouts[u].full_elems(),
                              .offset = {}});
  }

  // One buffer for the gradients of all turns that are added up in one place.
  void keep_gradients() {
    std::unordered_map<BufferId, BufferId> kept;  // by accumulator
    for (const Op& op : ops_) {
      if (op.kind != OpKind::reduce || replaced_.count(op.at(Slot::gradient))) continue;
      const auto [found, is_new] = kept.try_emplace(op.at(Slot::accumulator), 0);
      if (is_new) {
        Buffer gradient = buffer(op.at(Slot::gradient));
        gradient.name = "grad." + buffer(op.at(Slot::accumulator)).name;
        gradient.lifetime = Lifetime::persistent;
        found->second = writer_.add(std::move(gradient));
      }
      replaced_[op.at(Slot::gradient)] = found->second;
    }
  }

  void replace(std::vector<Operand>& operands) const {
    for (Operand& operand : operands)
      if (const auto found = replaced_.find(operand.buffer); found != replaced_.end()) operand.buffer = found->second;
  }

  void hold_whole(Op& op) {
    if (op.kind == OpKind::update) gather_sum(op);
    if (op.unit && (op.kind == OpKind::update || op.kind == OpKind::init || op.kind == OpKind::read))
      op.range = alone(static_cast<std::size_t>(*op.unit));
  }

  // The f32 sum of a unit's gradient, whole, before its update; no further ahead of the updates than gathers are of
  // uses.
  void gather_sum(Op& update) {
    const auto u = static_cast<std::size_t>(*update.unit);
    const BufferId slice = update.at(Slot::accumulator);
    buffer(slice).exported = true;
    const BufferId sum =
        writer_.add(fmt::format("sum{}", u), Role::gradients, DType::f32, run_.layouts[u].full_elems());
    Op gather = gather_of(u, slice, sum);
    const auto ahead = static_cast<std::size_t>(spec_.prefetch) + 1;
    if (updated_.size() >= ahead) gather.add(takes(updated_[updated_.size() - ahead]));
    writer_.add(std::move(gather));
    release(u, slice);
    update.find(Slot::accumulator)->buffer = sum;
    updated_.push_back(writer_.add_token(fmt::format("updated.{}", u)));
    update.add(gives(updated_.back()));
  }

  void publish(std::size_t u) {
    writer_.add(gather_of(u, run_.units[u].exported, parameters_[u]));
    release(u, run_.units[u].exported);
  }

  Op gather_of(std::size_t u, BufferId slice, BufferId full) {
    const FlatRange whole = run_.layouts[u].whole();
    return {.kind = OpKind::gather,
            .stream = StreamId::comm,
            .group = Group::data,
            .unit = static_cast<int>(u),
            .operands = {reads(Slot::slice, slice), writes(Slot::full, full)},
            .range = whole,
            .wire = buffer(slice).type,
            .bytes = whole.elems * size_bytes(buffer(slice).type),
            .from = writer_.from_list(spec_.exporters()),
            .to = writer_.to_list(spec_.all_ranks())};
  }

  void release(std::size_t u, BufferId slice) {
    writer_.add(Op{.kind = OpKind::release,
                   .stream = StreamId::comm,
                   .group = Group::data,
                   .unit = static_cast<int>(u),
                   .operands = {reads(Slot::exported, slice)}});
  }

  const ModelSpec& model_;
  const StepSpec& spec_;
  RunBuffers run_;
  std::vector<Op> ops_;
  ScheduleWriter writer_;
  std::vector<BufferId> parameters_;  // by unit, whole
  std::unordered_map<BufferId, BufferId> replaced_;
  std::vector<BufferId> updated_;  // tokens of the updates so far
};

}  // namespace

Schedule zero_stage(Schedule schedule, const ModelSpec& model, const StepSpec& spec) {
  return ZeroStagePass(std::move(schedule), model, spec).run();
}

}  // namespace trireme
