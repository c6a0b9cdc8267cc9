#include "shard/passes/derive_events.h"

#include <map>
#include <set>

#include "tests/shard/passes/operand_order.h"
#include "tests/shard/passes/pass_case.h"
#include "tests/shard/passes/sequence.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::initializer_list<ScheduleKind> all_kinds = {init,     load,     step,  step_with_audit,
                                                           diagnose, validate, sample};

// Short steps: order is looked at pair by pair.
void shorten(StepSpec& spec) { spec.microbatches = std::min(spec.microbatches, spec.ranks() + 1); }

Schedule without_events(Schedule s) {
  for (Op& op : s.ops) {
    op.waits.clear();
    op.records.reset();
  }
  s.event_count = 0;
  s.boundary_events.clear();
  return s;
}

// Programs of a run, and schedules of ops that stand in any order.
void for_programs(const std::function<void(const Schedule&)>& check) {
  for_cases(12, all_kinds, shorten,
            [&](const PassCase& c, ScheduleKind kind) { check(c.before("derive_events", kind)); });
  for (std::uint32_t seed = 0; seed < random_cases(300); ++seed) {
    CAPTURE(seed);
    check(without_events(RandomSchedule(seed).build(1 + static_cast<int>(seed % 60))));
  }
}

std::map<EventId, std::string> boundaries(const Schedule& s) {
  std::map<EventId, std::string> names;
  for (const BoundaryEvent& boundary : s.boundary_events) names[boundary.event] = boundary.name;
  return names;
}

bool outlives(const Buffer& b) {
  return b.lifetime == Lifetime::carried || (b.lifetime == Lifetime::persistent && b.role == Role::token);
}

// The op whose record a wait means; none where it is an earlier schedule's.
std::optional<std::size_t> awaited(const Schedule& s, std::size_t at, EventId event) {
  while (at-- > 0)
    if (s.ops[at].records == event) return at;
  return std::nullopt;
}

// One event for each buffer that outlives its schedule, recorded once and awaited by those that read what came before.
void check_boundaries(const Schedule& before) {
  const Schedule s = derive_events(before);
  std::map<std::string, EventId> event_of;
  for (const auto& [event, of] : boundaries(s)) CHECK(event_of.try_emplace(of, event).second);
  for (std::size_t b = 0; b < s.buffers.size(); ++b) {
    const Buffer& kept = s.buffers[b];
    CAPTURE(kept.name);
    REQUIRE(event_of.contains(kept.name) == outlives(kept));
    if (!outlives(kept)) continue;
    const EventId event = event_of.at(kept.name);
    const auto id = static_cast<BufferId>(b);
    std::optional<std::size_t> last;
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      if (s.ops[i].writes(id)) last = i;
    bool is_written = false;
    for (std::size_t i = 0; i < s.ops.size(); ++i) {
      const Op& op = s.ops[i];
      CHECK((op.records == event) == (last == i));
      const bool waits = std::find(op.waits.begin(), op.waits.end(), event) != op.waits.end();
      if (!is_written) CHECK(waits == op.reads(id));
      is_written |= op.writes(id);
    }
  }
}

}  // namespace

TEST_CASE("derive_events: ops are ordered as streams and conflicts demand, no less and no more") {
  for_programs([](const Schedule& before) {
    const Schedule s = derive_events(before);
    const Reach is = reachable(s), must = operand_order(s);
    for (std::size_t j = 0; j < s.ops.size(); ++j)
      for (std::size_t i = 0; i < j; ++i)
        if (is[j][i] != must[j][i]) {
          CAPTURE(i, j, is[j][i], must[j][i]);
          REQUIRE(is[j][i] == must[j][i]);
        }
  });
}

TEST_CASE("derive_events: a wait is for a conflicting op that neither stream nor earlier waits order before") {
  for_programs([](const Schedule& before) {
    const Schedule s = derive_events(before);
    const Reach order = reachable(s);
    for (std::size_t j = 0; j < s.ops.size(); ++j) {
      std::vector<bool> ordered(s.ops.size());
      const auto add = [&](std::size_t i) {
        ordered[i] = true;
        for (std::size_t k = 0; k < i; ++k) ordered[k] = ordered[k] || order[i][k];
      };
      for (std::size_t i = 0; i < j; ++i)
        if (s.ops[i].stream == s.ops[j].stream) add(i);
      for (const EventId event : s.ops[j].waits) {
        const std::optional<std::size_t> i = awaited(s, j, event);
        if (!i) continue;
        CAPTURE(*i, j);
        CHECK(!ordered[*i]);
        CHECK(conflict(s.ops[*i], s.ops[j]));
        add(*i);
      }
    }
  });
}

TEST_CASE("derive_events: no event but those of boundaries is recorded for nobody, and none twice") {
  for_programs([](const Schedule& before) {
    const Schedule s = derive_events(before);
    const std::map<EventId, std::string> of_boundary = boundaries(s);
    std::set<EventId> recorded, waited;
    for (const Op& op : s.ops) {
      if (op.records) CHECK(recorded.insert(*op.records).second);
      waited.insert(op.waits.begin(), op.waits.end());
      CHECK(std::set(op.waits.begin(), op.waits.end()).size() == op.waits.size());
    }
    for (EventId event = 0; event < s.event_count; ++event)
      if (!of_boundary.contains(event)) CHECK((recorded.contains(event) && waited.contains(event)));
    for (const EventId event : recorded) CHECK((event >= 0 && event < s.event_count));
  });
}

TEST_CASE("derive_events: what outlives a schedule has an event; its last writer records it, first readers wait") {
  for_cases(25, {init, enter, step, step_with_audit, validate}, {},
            [](const PassCase& c, ScheduleKind kind) { check_boundaries(c.before("derive_events", kind)); });
  // Of several writers, too.
  for (std::uint32_t seed = 0; seed < random_cases(200); ++seed) {
    CAPTURE(seed);
    Schedule s = without_events(RandomSchedule(seed).build(40));
    for (Buffer& b : s.buffers) {
      if (b.lifetime == Lifetime::persistent) b.lifetime = Lifetime::carried;
      if (b.role == Role::token) b.lifetime = Lifetime::persistent;
    }
    check_boundaries(s);
  }
}

TEST_CASE("derive_events: over programs in a row every two ops that conflict are ordered") {
  for (std::uint32_t seed = 0; seed < random_cases(10); ++seed) {
    CAPTURE(seed);
    const PassCase c(seed, shorten);
    for (const std::vector<ScheduleKind>& kinds :
         {std::vector{init, enter, step, step}, {step, validate, enter, step}}) {
      Sequence all;
      for (const ScheduleKind kind : kinds) all.add(derive_events(c.before("derive_events", kind)));
      const Schedule& s = all.joined;
      const Reach order = reachable(s);
      for (std::size_t j = 0; j < s.ops.size(); ++j)
        for (std::size_t i = 0; i < j; ++i)
          if (!order[j][i] && conflict(s.ops[i], s.ops[j])) {
            CAPTURE(describe(s, static_cast<OpId>(i)), describe(s, static_cast<OpId>(j)));
            FAIL("not ordered");
          }
    }
  }
}

TEST_CASE("derive_events: it sets waits, records and events, and nothing else") {
  for_programs([](const Schedule& before) { CHECK(without_events(derive_events(before)) == before); });
}
