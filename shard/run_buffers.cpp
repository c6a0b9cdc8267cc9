#include "shard/run_buffers.h"

#include <fmt/format.h>

#include <algorithm>

#include "shard/step_records.h"

namespace trireme {
namespace {

BufferId add_persistent(ScheduleWriter& writer, Buffer buffer) {
  buffer.lifetime = Lifetime::persistent;
  return writer.add(std::move(buffer));
}

// Masters, states and what peers gather of unit `u`, so many elements of it.
StateBuffers add_unit(ScheduleWriter& writer, const ModelSpec& model, const StepSpec& spec, std::size_t u,
                      Elems elems) {
  const bool master_is_exported = spec.compute == DType::f32;
  const auto of_unit = static_cast<std::int32_t>(u);
  StateBuffers unit;
  unit.master = add_persistent(writer, {.name = fmt::format("master{}", u),
                                        .role = Role::parameters,
                                        .type = DType::f32,
                                        .content = Content::master,
                                        .unit = of_unit,
                                        .elems = elems,
                                        .exported = master_is_exported,
                                        .offset = {}});
  const bool is_trained = model.units[u].kind != UnitKind::frozen;
  for (std::size_t k = 0; is_trained && k < spec.states.size(); ++k)
    unit.states.push_back(add_persistent(writer, {.name = fmt::format("{}{}", spec.states[k].name, u),
                                                  .role = Role::optimizer,
                                                  .type = spec.states[k].type,
                                                  .content = Content::state,
                                                  .state = static_cast<std::uint8_t>(k),
                                                  .unit = of_unit,
                                                  .elems = elems,
                                                  .offset = {}}));
  unit.exported = master_is_exported ? unit.master
                                     : add_persistent(writer, {.name = fmt::format("shard{}", u),
                                                               .role = Role::parameters,
                                                               .type = spec.compute,
                                                               .content = Content::exported,
                                                               .unit = of_unit,
                                                               .elems = elems,
                                                               .exported = true,
                                                               .offset = {}});
  return unit;
}

}  // namespace

RunBuffers add_run_buffers(ScheduleWriter& writer, const ModelSpec& model, const StepSpec& spec) {
  RunBuffers run;
  for (std::size_t u = 0; u < model.units.size(); ++u) {
    run.layouts.emplace_back(model.units[u], spec.ranks());
    const Elems elems = run.layouts.back().slice_elems;
    run.units.push_back(elems == 0 ? StateBuffers() : add_unit(writer, model, spec, u, elems));
  }
  const auto record = [&](Content content, DType type, Elems elems) {
    return add_persistent(writer, {.name = name(content),
                                   .role = Role::data,
                                   .type = type,
                                   .content = content,
                                   .unit = {},
                                   .elems = elems,
                                   .offset = {}});
  };
  run.constants = record(Content::constants, DType::byte, model.constants_bytes);
  run.counters = record(Content::counters, DType::byte, sizeof(StepCounters));
  run.values = record(Content::values, DType::byte, sizeof(StepValues));
  run.tokens = record(Content::tokens, DType::byte, sizeof(TokenCount));
  run.sums = record(Content::sums, DType::byte, sizeof(StepSums));
  run.verdict = record(Content::verdict, DType::byte, sizeof(Verdict));
  run.choice = record(Content::choice, DType::i32, 1);
  run.finding = record(Content::finding, DType::byte, sizeof(Finding));
  if (spec.audit) {
    // One for each unit, one for a tied tensor.
    const auto places = static_cast<Elems>(model.units.size()) + 2;
    run.own_hashes = record(Content::own_hashes, DType::i64, places);
    run.replayed_hashes = record(Content::replayed_hashes, DType::i64, places);
    run.replayed_sums = record(Content::replayed_sums, DType::byte, sizeof(StepSums));
    run.received_hashes = record(Content::received_hashes, DType::i64, places);
  }
  return run;
}

RunBuffers run_buffers(const ModelSpec& model, const StepSpec& spec) {
  ScheduleWriter writer(empty_schedule(ScheduleKind::step, spec));
  return add_run_buffers(writer, model, spec);
}

std::optional<std::size_t> exported_unit(const RunBuffers& run, const Op& op) {
  if (!op.unit) return std::nullopt;
  const auto u = static_cast<std::size_t>(*op.unit);
  return op.writes(run.units[u].exported) ? std::optional(u) : std::nullopt;
}

Schedule empty_schedule(ScheduleKind kind, const StepSpec& spec) {
  Schedule schedule;
  schedule.kind = kind;
  schedule.rank = spec.rank;
  schedule.world = spec.ranks();
  return schedule;
}

}  // namespace trireme
