#pragma once
// Random programs as a pass gets them, and questions about programs. No code is shared with any pass.

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shard/order/compute_order.h"
#include "shard/passes/pass_list.h"
#include "shard/passes/prefetch.h"
#include "tests/shard/random_spec.h"
#include "tests/support/random_cases.h"

namespace trireme::test {

inline Schedule order(ScheduleKind kind, const ModelSpec& model, const StepSpec& spec) {
  switch (kind) {
    case ScheduleKind::init: return order_init(model, spec);
    case ScheduleKind::load: return order_load(model, spec, 4096);
    case ScheduleKind::enter: break;  // what a step carries
    case ScheduleKind::step: return order_step(model, spec);
    case ScheduleKind::step_with_audit: return order_step_with_audit(model, spec);
    case ScheduleKind::diagnose: return order_diagnose(model, spec);
    case ScheduleKind::validate: return order_validate(model, spec);
    case ScheduleKind::sample: return order_sample(model, spec);
  }
  return {};
}

/// A random model on a random rank, and what the passes make of its programs.
struct PassCase {
  ModelSpec model;
  StepSpec spec;

  explicit PassCase(std::uint32_t seed, const std::function<void(StepSpec&)>& edit = {}) {
    RandomSpec random(seed);
    model = random.model(3);
    spec = random.step(6, 9);
    if (edit) edit(spec);
  }

  /// In validate and sample every rank has one microbatch.
  StepSpec spec_of(ScheduleKind kind) const {
    StepSpec own = spec;
    if (kind == ScheduleKind::validate || kind == ScheduleKind::sample) own.microbatches = spec.ranks();
    return own;
  }
  int carried_uses() const {
    return spec.audit ? possible_distance(order_step(model, spec), spec.prefetch) : spec.prefetch;
  }
  Schedule run(ScheduleKind kind, std::size_t passes) const {
    const StepSpec own = spec_of(kind);
    return run_passes(order(kind, model, own), {model, own, carried_uses()}, 0, passes);
  }
  /// Also of enter, for passes behind those that make it.
  Schedule before(std::string_view pass, ScheduleKind kind) const {
    return kind == ScheduleKind::enter ? run_enter(passes_up_to(pass) - 1) : run(kind, passes_up_to(pass) - 1);
  }
  Schedule run_enter(std::size_t passes) const {
    const Schedule enter = enter_of(run(ScheduleKind::step, passes_before_enter()));
    return run_passes(enter, {model, spec, carried_uses()}, passes_before_enter(), passes);
  }
};

using Check = std::function<void(const PassCase&, ScheduleKind)>;

/// Calls `check` for so many random cases, once for each kind. `edit` makes a spec what the test needs.
inline void for_cases(std::uint32_t count, std::initializer_list<ScheduleKind> kinds,
                      const std::function<void(StepSpec&)>& edit, const Check& check) {
  for (std::uint32_t seed = 0; seed < random_cases(count); ++seed)
    for (const ScheduleKind kind : kinds) {
      CAPTURE(seed, name(kind));
      const PassCase c(seed, [&](StepSpec& spec) {
        spec.audit |= kind == ScheduleKind::step_with_audit;
        if (edit) edit(spec);
      });
      check(c, kind);
    }
}

inline const Buffer& buffer(const Schedule& schedule, BufferId id) {
  return schedule.buffers[static_cast<std::size_t>(id)];
}
inline const Buffer& buffer(const Schedule& schedule, const Op& op, Slot slot) { return buffer(schedule, op.at(slot)); }
inline const std::vector<Contribution>& from_list(const Schedule& schedule, const Op& op) {
  return schedule.from_lists[static_cast<std::size_t>(*op.from)];
}
inline const std::vector<int>& to_list(const Schedule& schedule, const Op& op) {
  return schedule.to_lists[static_cast<std::size_t>(*op.to)];
}

/// The buffers that an op has in one of these slots.
inline std::vector<BufferId> in_slots(const Op& op, std::initializer_list<Slot> slots) {
  std::vector<BufferId> found;
  for (const Operand& operand : op.operands)
    if (std::find(slots.begin(), slots.end(), operand.slot) != slots.end()) found.push_back(operand.buffer);
  return found;
}

inline std::vector<BufferId> tokens_taken(const Op& op) {
  std::vector<BufferId> tokens = in_slots(op, {Slot::token});
  std::erase_if(tokens, [&](BufferId id) { return !op.reads(id); });
  return tokens;
}
inline std::vector<BufferId> tokens_given(const Op& op) {
  std::vector<BufferId> tokens = in_slots(op, {Slot::token});
  std::erase_if(tokens, [&](BufferId id) { return !op.writes(id); });
  return tokens;
}

/// The one op that gives a token; fails where there are none or several.
inline std::size_t giver(const Schedule& schedule, BufferId token) {
  std::vector<std::size_t> givers;
  for (std::size_t i = 0; i < schedule.ops.size(); ++i)
    if (schedule.ops[i].writes(token)) givers.push_back(i);
  REQUIRE(givers.size() == 1);
  return givers.front();
}

inline Op without_tokens(Op op) {
  std::erase_if(op.operands, [](const Operand& operand) { return operand.slot == Slot::token; });
  return op;
}

/// The ops that are left when those of some kind of place are not looked at.
template <typename Leaves>
std::vector<Op> ops_where(const Schedule& schedule, const Leaves& stays) {
  std::vector<Op> ops;
  for (const Op& op : schedule.ops)
    if (stays(op)) ops.push_back(op);
  return ops;
}

/// A gather that a use needs, not one that keeps parameters or sums up to date.
inline bool is_for_a_use(const Schedule& schedule, const Op& op) {
  return op.kind == OpKind::gather && op.has(Slot::full) && buffer(schedule, op, Slot::full).role == Role::gathered;
}

}  // namespace trireme::test
