#include "shard/run_buffers.h"

#include <fmt/format.h>

#include <algorithm>

#include "shard/step_records.h"

namespace trireme {
namespace {

BufferId add_persistent(ScheduleWriter& writer, std::string name, Role role, DType type, Elems elems, bool exported) {
  return writer.add(Buffer{.name = std::move(name), .role = role, .lifetime = Lifetime::persistent, .type = type,
                           .elems = elems, .exported = exported, .offset = {}});
}

}  // namespace

RunBuffers add_run_buffers(ScheduleWriter& writer, const ModelSpec& model, const StepSpec& spec) {
  RunBuffers run;
  const bool master_is_exported = spec.compute == DType::f32;
  for (std::size_t u = 0; u < model.units.size(); ++u) {
    run.layouts.emplace_back(model.units[u], spec.ranks());
    const Elems elems = run.layouts.back().slice_elems;
    StateBuffers unit;
    if (elems == 0) {
      run.units.push_back(unit);
      continue;
    }
    unit.master = add_persistent(writer, fmt::format("master{}", u), Role::parameters, DType::f32, elems,
                                 master_is_exported);
    const bool is_trained = model.units[u].kind != UnitKind::frozen;
    for (const OptimizerState& state : is_trained ? spec.states : std::vector<OptimizerState>())
      unit.states.push_back(
          add_persistent(writer, fmt::format("{}{}", state.name, u), Role::optimizer, state.type, elems, false));
    unit.exported = master_is_exported ? unit.master
                                       : add_persistent(writer, fmt::format("shard{}", u), Role::parameters,
                                                        spec.compute, elems, true);
    run.units.push_back(unit);
  }
  const auto record = [&](const char* name, DType type, Elems elems) {
    return add_persistent(writer, name, Role::data, type, elems, false);
  };
  run.constants = record("constants", DType::byte, model.constants_bytes);
  run.counters = record("counters", DType::byte, sizeof(StepCounters));
  run.values = record("values", DType::byte, sizeof(StepValues));
  run.tokens = record("tokens", DType::byte, sizeof(TokenCount));
  run.sums = record("sums", DType::byte, sizeof(StepSums));
  run.verdict = record("verdict", DType::byte, sizeof(Verdict));
  run.choice = record("choice", DType::i32, 1);
  run.finding = record("finding", DType::byte, sizeof(Finding));
  if (spec.audit) {
    // One for each unit, one for a tied tensor.
    const auto places = static_cast<Elems>(model.units.size()) + 2;
    run.own_hashes = record("hashes.own", DType::i64, places);
    run.replayed_hashes = record("hashes.replayed", DType::i64, places);
    run.replayed_sums = record("sums.replayed", DType::byte, sizeof(StepSums));
    run.received_hashes = record("hashes.received", DType::i64, places);
  }
  return run;
}

RunBuffers run_buffers(const ModelSpec& model, const StepSpec& spec) {
  ScheduleWriter writer(empty_schedule("", spec));
  return add_run_buffers(writer, model, spec);
}

std::optional<std::size_t> exported_unit(const RunBuffers& run, const Op& op) {
  if (!op.unit) return std::nullopt;
  const auto u = static_cast<std::size_t>(*op.unit);
  const bool makes = std::find(op.writes.begin(), op.writes.end(), run.units[u].exported) != op.writes.end();
  return makes ? std::optional(u) : std::nullopt;
}

Schedule empty_schedule(std::string name, const StepSpec& spec) {
  Schedule schedule;
  schedule.name = std::move(name);
  schedule.rank = spec.rank;
  schedule.world = spec.ranks();
  return schedule;
}

}  // namespace trireme
