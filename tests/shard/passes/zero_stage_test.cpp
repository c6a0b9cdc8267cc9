#include "shard/passes/zero_stage.h"

#include <map>
#include <set>

#include "shard/flat_layout.h"
#include "tests/shard/passes/pass_case.h"
#include "tests/shard/passes/traced_values.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 25;
constexpr std::initializer_list<ScheduleKind> all_kinds = {init,     load,     step,  step_with_audit,
                                                           diagnose, validate, sample};

Schedule staged(const PassCase& c, ScheduleKind kind) {
  return zero_stage(c.before("zero_stage", kind), c.model, c.spec_of(kind));
}

// For stages `low` to `high`.
void for_stages(int low, int high, std::initializer_list<ScheduleKind> kinds, const Check& check) {
  for (int zero = low; zero <= high; ++zero) {
    CAPTURE(zero);
    const auto edit = [zero](StepSpec& spec) {
      spec.zero = zero;
      spec.node_ranks = 0;
    };
    for_cases(cases, kinds, edit, check);
  }
}

Elems whole_elems(const PassCase& c, std::size_t u) {
  return FlatLayout(c.model.units[u], c.spec.zero == 0 ? 1 : c.spec.ranks()).full_elems();
}

// Whose parameters an op reads in a slot.
std::size_t unit_in(const PassCase& c, const Op& op, Slot slot) {
  const auto u = static_cast<std::size_t>(*op.unit);
  const UnitSpec& unit = c.model.units[u];
  if (slot == Slot::tied) return c.model.owner(*unit.tied);
  const bool is_frozen = slot == Slot::frozen || FlatLayout(unit, 1).is_empty();
  return is_frozen ? static_cast<std::size_t>(*unit.frozen) : u;
}

// Whether peers would gather it as a unit's parameters in stage 3.
bool is_slice_for_peers(const PassCase& c, const Buffer& b) {
  return b.content == (c.spec.compute == DType::f32 ? Content::master : Content::exported);
}

}  // namespace

TEST_CASE("zero_stage: below stage 3 no use gathers, it reads persistent parameters that every rank holds whole") {
  for_stages(0, 2, all_kinds, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = staged(c, kind);
    std::map<std::size_t, BufferId> parameters;  // by unit
    for (const Op& op : s.ops) {
      CHECK(!is_for_a_use(s, op));
      for (const Slot slot : {Slot::parameters, Slot::frozen, Slot::tied}) {
        if (!op.has(slot)) continue;
        const Buffer& whole = buffer(s, op, slot);
        const std::size_t u = unit_in(c, op, slot);
        CHECK(whole.lifetime == Lifetime::persistent);
        CHECK(whole.role == Role::parameters);
        CHECK(whole.type == c.spec.compute);
        CHECK(whole.elems == whole_elems(c, u));
        CHECK(parameters.try_emplace(u, op.at(slot)).first->second == op.at(slot));
      }
    }
    std::set<BufferId> distinct;
    for (const auto& [u, id] : parameters) distinct.insert(id);
    CHECK(distinct.size() == parameters.size());
  });
}

TEST_CASE("zero_stage: stages 1 and 2 gather a slice behind the op that makes it, and keep it no longer") {
  for_stages(1, 2, {init, load, step, step_with_audit}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = staged(c, kind);
    const StepSpec spec = c.spec_of(kind);
    std::size_t gathers = 0, made = 0;
    for (const Op& op : s.ops) gathers += op.kind == OpKind::gather;
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      for (const BufferId slice : s.ops[i].writes()) {
        if (!is_slice_for_peers(c, buffer(s, slice))) continue;
        ++made;
        REQUIRE(i + 2 < s.ops.size());
        const Op& gather = s.ops[i + 1];
        const FlatLayout layout(c.model.units[static_cast<std::size_t>(*s.ops[i].unit)], spec.ranks());
        REQUIRE(gather.kind == OpKind::gather);
        CHECK(gather.at(Slot::slice) == slice);
        CHECK(gather.group == Group::data);
        CHECK(gather.range == layout.whole());
        CHECK(gather.wire == spec.compute);
        CHECK(gather.bytes == layout.full_elems() * size_bytes(spec.compute));
        CHECK(from_list(s, gather) == spec.exporters());
        CHECK(to_list(s, gather) == spec.all_ranks());
        CHECK(buffer(s, gather, Slot::full).elems == layout.full_elems());
        CHECK(buffer(s, gather, Slot::full).lifetime == Lifetime::persistent);
        CHECK(s.ops[i + 2].kind == OpKind::release);
        CHECK(s.ops[i + 2].at(Slot::exported) == slice);
      }
    CHECK(gathers == made);
    CHECK(made > 0);
  });
}

TEST_CASE("zero_stage: stages 1 and 2 hold slices of masters and states, and no exported slice beyond a schedule") {
  for_stages(1, 2, all_kinds, [](const PassCase& c, ScheduleKind kind) {
    for (const Buffer& b : staged(c, kind).buffers) {
      if (b.content == Content::exported) CHECK(b.lifetime == Lifetime::step);
      if (b.content != Content::master && b.content != Content::state) continue;
      CHECK(b.lifetime == Lifetime::persistent);
      CHECK(b.elems == FlatLayout(c.model.units[static_cast<std::size_t>(*b.unit)], c.spec.ranks()).slice_elems);
    }
  });
}

TEST_CASE("zero_stage: stage 0 holds masters and states whole, and every rank makes and updates all of them") {
  for_stages(0, 0, all_kinds, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = staged(c, kind);
    for (const Buffer& b : s.buffers) {
      if (b.role == Role::parameters) CHECK(!b.exported);
      if (b.content != Content::master && b.content != Content::state && b.content != Content::exported) continue;
      CHECK(b.lifetime == Lifetime::persistent);
      CHECK(b.elems == whole_elems(c, static_cast<std::size_t>(*b.unit)));
    }
    for (const Op& op : s.ops) {
      if (!op.has(Slot::master)) continue;
      const Elems whole = whole_elems(c, static_cast<std::size_t>(*op.unit));
      CHECK(op.range == FlatRange{0, whole, whole});
    }
  });
}

TEST_CASE("zero_stage: stage 0 gathers f32 sums of gradients before their updates, `prefetch` updates ahead") {
  for_stages(0, 0, {step, step_with_audit}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule ordered = c.before("zero_stage", kind), s = staged(c, kind);
    const auto updates_only = [](const Op& op) { return op.kind == OpKind::update; };
    const std::vector<Op> updates_before = ops_where(ordered, updates_only);
    std::vector<std::size_t> updates;
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      if (s.ops[i].kind == OpKind::update) updates.push_back(i);
    REQUIRE(updates.size() == updates_before.size());
    CHECK(ops_where(s, [](const Op& op) { return op.kind == OpKind::gather; }).size() == updates.size());
    for (std::size_t n = 0; n < updates.size(); ++n) {
      CAPTURE(n);
      const Op &update = s.ops[updates[n]], &gather = s.ops[updates[n] - 2], &release = s.ops[updates[n] - 1];
      REQUIRE(gather.kind == OpKind::gather);
      REQUIRE(release.kind == OpKind::release);
      const Buffer& sum = buffer(s, gather, Slot::full);
      CHECK(gather.at(Slot::slice) == updates_before[n].at(Slot::accumulator));
      CHECK(release.at(Slot::exported) == gather.at(Slot::slice));
      CHECK(buffer(s, gather, Slot::slice).exported);
      CHECK(update.at(Slot::accumulator) == gather.at(Slot::full));
      CHECK(sum.type == DType::f32);
      CHECK(sum.lifetime == Lifetime::step);
      CHECK(sum.elems ==
            FlatLayout(c.model.units[static_cast<std::size_t>(*update.unit)], c.spec.ranks()).full_elems());
      CHECK(gather.wire == DType::f32);
      CHECK(from_list(s, gather) == c.spec.exporters());
      CHECK(to_list(s, gather) == c.spec.all_ranks());
      const std::vector<BufferId> bounds = tokens_taken(gather);
      const auto ahead = static_cast<std::size_t>(c.spec.prefetch) + 1;
      REQUIRE(bounds.size() == (n < ahead ? 0 : 1));
      if (n >= ahead) CHECK(giver(s, bounds.front()) == updates[n - ahead]);
    }
  });
}

TEST_CASE("zero_stage: in stages 0 and 1 one persistent, whole gradient is reduced into each sum; in stage 2 none is") {
  for_stages(0, 2, {step, step_with_audit, diagnose}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = staged(c, kind);
    std::map<BufferId, BufferId> gradients;  // by accumulator
    for (const Op& op : s.ops) {
      if (op.kind != OpKind::reduce) continue;
      const Buffer& gradient = buffer(s, op, Slot::gradient);
      CHECK(gradient.lifetime == (c.spec.zero <= 1 ? Lifetime::persistent : Lifetime::step));
      CHECK(gradient.elems == op.range.elems);
      CHECK(gradient.type == c.spec.wire);
      const auto known = gradients.try_emplace(op.at(Slot::accumulator), op.at(Slot::gradient)).first->second;
      if (c.spec.zero <= 1) CHECK(known == op.at(Slot::gradient));
    }
  });
}

TEST_CASE("zero_stage: every op of a step computes from the values that stage 3 gives it") {
  for_stages(0, 2, all_kinds, [](const PassCase& c, ScheduleKind kind) {
    const StepSpec spec = c.spec_of(kind);
    check_values_stay(c, "zero_stage", kind, [&](const Schedule& s) { return zero_stage(s, c.model, spec); });
  });
}
