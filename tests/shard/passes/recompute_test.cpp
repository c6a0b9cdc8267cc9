#include "shard/passes/recompute.h"

#include <map>
#include <set>
#include <tuple>

#include "tests/shard/passes/pass_case.h"
#include "tests/shard/passes/traced_values.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 30;

Schedule recomputed(const PassCase& c, ScheduleKind kind) {
  return recompute(c.before("recompute", kind), c.model, c.spec.recompute);
}

void for_policies(std::initializer_list<Recompute> policies, const Check& check) {
  for (const Recompute policy : policies) {
    CAPTURE(name(policy));
    for_cases(
        cases, {step, step_with_audit, diagnose}, [policy](StepSpec& spec) { spec.recompute = policy; }, check);
  }
}

bool is_of_block(const PassCase& c, const Op& op) {
  return op.unit && c.model.units[static_cast<std::size_t>(*op.unit)].kind == UnitKind::block;
}

// Said once more: what the policy's name means.
bool is_dropped(const PassCase& c, const Op& op) {
  const SegmentKind segment =
      c.model.units[static_cast<std::size_t>(*op.unit)].segments[static_cast<std::size_t>(*op.segment)].kind;
  switch (c.spec.recompute) {
    case Recompute::none: return false;
    case Recompute::attention: return segment == SegmentKind::attention;
    case Recompute::mlp: return segment == SegmentKind::mlp;
    case Recompute::block: return true;
  }
  return false;
}

// How many ops touch a buffer.
std::size_t users(const Schedule& s, BufferId id) {
  return ops_where(s, [&](const Op& op) { return op.reads(id) || op.writes(id); }).size();
}

bool is_last_segment(const PassCase& c, const Op& op) {
  return static_cast<std::size_t>(*op.segment) + 1 == c.model.units[static_cast<std::size_t>(*op.unit)].segments.size();
}

std::vector<std::size_t> places(const Schedule& s, OpKind kind) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < s.ops.size(); ++i)
    if (s.ops[i].kind == kind) found.push_back(i);
  return found;
}

// Made by a forward op above, or whatever forward reads that no block makes.
void check_kept(const Schedule& s, std::size_t at, BufferId x) {
  std::size_t maker = s.ops.size();
  for (std::size_t i = 0; i < at; ++i)
    if (s.ops[i].writes(x)) maker = i;
  REQUIRE(maker < at);
  CHECK(s.ops[maker].kind == OpKind::forward);
}

}  // namespace

TEST_CASE("recompute: what forward saves of the policy's segments dies with its op; nothing else is dropped") {
  for_policies({Recompute::none, Recompute::attention, Recompute::mlp, Recompute::block},
               [](const PassCase& c, ScheduleKind kind) {
                 const Schedule s = recomputed(c, kind);
                 for (const Op& op : s.ops) {
                   if (op.kind == OpKind::forward && is_of_block(c, op) && is_dropped(c, op)) {
                     CHECK(users(s, op.at(Slot::saved)) == 1);
                     CHECK(buffer(s, op, Slot::saved).lifetime == Lifetime::step);
                   }
                   if (op.kind != OpKind::backward || !is_of_block(c, op)) continue;
                   std::vector<OpKind> makers;
                   for (const Op& maker : s.ops)
                     if (maker.writes(op.at(Slot::saved))) makers.push_back(maker.kind);
                   CHECK(makers == std::vector{is_dropped(c, op) ? OpKind::recompute : OpKind::forward});
                 }
               });
}

TEST_CASE("recompute: attention and mlp come directly before their backward, from its input, which was kept") {
  for_policies({Recompute::attention, Recompute::mlp}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = recomputed(c, kind);
    std::size_t expected = 0;
    for (const std::size_t i : places(s, OpKind::backward)) {
      const Op& backward = s.ops[i];
      if (!is_of_block(c, backward) || !is_dropped(c, backward)) continue;
      ++expected;
      REQUIRE(i > 0);
      const Op& again = s.ops[i - 1];
      REQUIRE(again.kind == OpKind::recompute);
      CHECK(std::tuple(again.unit, again.segment, again.microbatch) ==
            std::tuple(backward.unit, backward.segment, backward.microbatch));
      for (const Slot slot : {Slot::parameters, Slot::frozen, Slot::x, Slot::saved, Slot::batch, Slot::constants}) {
        REQUIRE(again.has(slot) == backward.has(slot));
        if (again.has(slot)) CHECK(again.at(slot) == backward.at(slot));
      }
      CHECK(!again.has(Slot::out));
      check_kept(s, i - 1, again.at(Slot::x));
    }
    CHECK(places(s, OpKind::recompute).size() == expected);
  });
}

TEST_CASE("recompute: block computes all segments in order before the first backward of a block, from its kept input") {
  for_policies({Recompute::block}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = recomputed(c, kind);
    std::size_t expected = 0;
    for (const std::size_t i : places(s, OpKind::backward)) {
      const Op& backward = s.ops[i];
      if (!is_of_block(c, backward) || !is_last_segment(c, backward)) continue;
      const auto segments = static_cast<std::size_t>(*backward.segment) + 1;
      expected += segments;
      REQUIRE(i >= segments);
      for (std::size_t n = 0; n < segments; ++n) {
        const Op& again = s.ops[i - segments + n];
        REQUIRE(again.kind == OpKind::recompute);
        CHECK(std::tuple(again.unit, again.microbatch) == std::tuple(backward.unit, backward.microbatch));
        CHECK(*again.segment == static_cast<int>(n));
        CHECK(again.at(Slot::parameters) == backward.at(Slot::parameters));
        if (n == 0)
          check_kept(s, i - segments, again.at(Slot::x));
        else
          CHECK(again.at(Slot::x) == s.ops[i - segments + n - 1].at(Slot::out));
        CHECK(again.has(Slot::out) == (n + 1 < segments));
      }
    }
    CHECK(places(s, OpKind::recompute).size() == expected);
  });
}

TEST_CASE("recompute: block drops the activations between a block's segments, and keeps those between blocks") {
  for_policies({Recompute::block}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule ordered = c.before("recompute", kind), s = recomputed(c, kind);
    const std::vector<std::size_t> was = places(ordered, OpKind::forward), is = places(s, OpKind::forward);
    REQUIRE(was.size() == is.size());
    for (std::size_t n = 0; n < is.size(); ++n) {
      const Op& op = s.ops[is[n]];
      const bool is_between = is_of_block(c, op) && !is_last_segment(c, op);
      CHECK((op.at(Slot::out) != ordered.ops[was[n]].at(Slot::out)) == is_between);
      if (!is_between) continue;
      CHECK(users(s, op.at(Slot::out)) == 2);
      CHECK(s.ops[is[n + 1]].at(Slot::x) == op.at(Slot::out));
    }
  });
}

TEST_CASE("recompute: each recompute has a workspace of its own") {
  for_policies({Recompute::mlp, Recompute::block}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = recomputed(c, kind);
    for (const Op& op : s.ops)
      if (op.kind == OpKind::recompute) CHECK(users(s, op.at(Slot::workspace)) == 1);
  });
}

TEST_CASE("recompute: backward computes from the values that were saved") {
  for_policies({Recompute::attention, Recompute::mlp, Recompute::block}, [](const PassCase& c, ScheduleKind kind) {
    check_values_stay(c, "recompute", kind, [&](const Schedule& s) { return recompute(s, c.model, c.spec.recompute); });
  });
}

TEST_CASE("recompute: without a policy the schedule is as it was") {
  for_policies({Recompute::none},
               [](const PassCase& c, ScheduleKind kind) { CHECK(recomputed(c, kind) == c.before("recompute", kind)); });
}
