#include "shard/passes/add_checks.h"

#include "tests/shard/passes/pass_case.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 100;

Schedule checked(const PassCase& c) { return add_checks(c.before("add_checks", diagnose), c.model, c.spec); }

// What can hold something that is not finite behind an op, by what its slots mean.
std::vector<BufferId> made_by(const Op& op) {
  using Slots = std::initializer_list<Slot>;
  const auto of = [&](OpKind kind, Slots slots) {
    return op.kind == kind ? in_slots(op, slots) : std::vector<BufferId>();
  };
  std::vector<BufferId> made;
  for (const std::vector<BufferId>& some :
       {of(OpKind::gather, {Slot::full}), of(OpKind::reduce, {Slot::accumulator}),
        of(OpKind::accumulate, {Slot::accumulator}), of(OpKind::forward, {Slot::out}),
        of(OpKind::recompute, {Slot::out}), of(OpKind::round, {Slot::gradient}),
        // A gradient is whole behind its first segment, the last in backward.
        of(OpKind::backward, op.segment == 0 ? Slots{Slot::gradient, Slot::d_x} : Slots{Slot::d_x}),
        of(OpKind::forward_backward, {Slot::gradient, Slot::d_x, Slot::tied_gradient, Slot::sums})})
    made.insert(made.end(), some.begin(), some.end());
  return made;
}

bool is_check(const Op& op) { return op.kind == OpKind::check_finite; }

}  // namespace

TEST_CASE("add_checks: behind each op that makes values stands one check of all of them, and none elsewhere") {
  for_cases(cases, {diagnose}, {}, [](const PassCase& c, ScheduleKind) {
    const Schedule s = checked(c);
    std::vector<const Op*> owed;  // makers whose check has not come: several of comm that stand together
    for (const Op& op : s.ops) {
      if (is_check(op)) {
        REQUIRE(!owed.empty());
        const Op& maker = *owed.front();
        CHECK(in_slots(op, {Slot::checked}) == made_by(maker));
        CHECK(op.unit == maker.unit);
        CHECK(op.segment == maker.segment);
        CHECK(op.microbatch == maker.microbatch);
        CHECK(op.range == maker.range);
        owed.erase(owed.begin());
        continue;
      }
      if (!owed.empty()) CHECK((op.stream == StreamId::comm && owed.back()->stream == StreamId::comm));
      if (!made_by(op).empty()) owed.push_back(&op);
    }
    CHECK(owed.empty());
  });
}

TEST_CASE("add_checks: comm ops that stand together still do, their checks behind them all") {
  for_cases(cases, {diagnose}, {}, [](const PassCase& c, ScheduleKind) {
    const Schedule before = c.before("add_checks", diagnose), s = checked(c);
    // By ops of the schedule before: whether the next one stands directly behind it.
    std::vector<bool> stands_together;
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      if (!is_check(s.ops[i])) stands_together.push_back(i + 1 < s.ops.size() && !is_check(s.ops[i + 1]));
    REQUIRE(stands_together.size() == before.ops.size());
    for (std::size_t i = 0; i + 1 < before.ops.size(); ++i)
      if (before.ops[i].stream == StreamId::comm && before.ops[i + 1].stream == StreamId::comm)
        CHECK(stands_together[i]);
  });
}

TEST_CASE("add_checks: a check runs on the compute stream and adds to the one finding") {
  for_cases(cases, {diagnose}, {}, [](const PassCase& c, ScheduleKind) {
    const Schedule s = checked(c);
    for (const Op& op : s.ops) {
      if (!is_check(op)) continue;
      CHECK(op.stream == StreamId::compute);
      CHECK(buffer(s, op, Slot::finding).content == Content::finding);
      CHECK(op.find(Slot::finding)->access == Access::update);
      for (const BufferId id : in_slots(op, {Slot::checked})) CHECK(!op.writes(id));
    }
  });
}

TEST_CASE("add_checks: all else is as it was") {
  for_cases(cases, {diagnose}, {}, [](const PassCase& c, ScheduleKind) {
    Schedule s = checked(c);
    std::erase_if(s.ops, is_check);
    CHECK(s == c.before("add_checks", diagnose));
  });
}
