#include "runtime/schedule/happens_before.h"

#include <catch2/catch.hpp>

#include "runtime/base/error.h"
#include "tests/runtime/schedule/random_schedule.h"

using namespace trireme;

TEST_CASE("HappensBefore: equals brute-force reachability on random schedules", "[schedule]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Schedule s = RandomSchedule(seed).build(40);
    const Reach reach = reachable(s);
    const HappensBefore order(s);
    bool equal = true;
    for (OpId i = 0; i < static_cast<OpId>(s.ops.size()); ++i)
      for (OpId j = 0; j < static_cast<OpId>(s.ops.size()); ++j)
        equal &= order.before(i, j) == reach[static_cast<std::size_t>(j)][static_cast<std::size_t>(i)];
    INFO("seed " << seed);
    REQUIRE(equal);
  }
}

namespace {

Schedule one_op(StreamId stream, std::vector<EventId> waits, std::optional<EventId> records) {
  Schedule s{.event_count = 1, .boundary_events = {{0, "end.comm"}}};
  s.ops.push_back({.kind = OpKind::forward, .stream = stream, .waits = std::move(waits), .records = records});
  return s;
}

}  // namespace

TEST_CASE("HappensBefore: a boundary event orders a schedule behind the last one that recorded it", "[schedule]") {
  const Schedule first = one_op(StreamId::comm, {}, 0), idle = one_op(StreamId::compute, {}, {});
  const Schedule waits = one_op(StreamId::compute, {0}, {});
  const Schedule* const sequence[] = {&first, &idle, &waits};
  const HappensBefore order{std::span<const Schedule* const>(sequence)};
  CHECK(order.before(0, 2));
  CHECK_FALSE(order.before(0, 1));
  CHECK(order.before(1, 2));  // one stream
  CHECK(order.position(2) == 1);
}

TEST_CASE("HappensBefore: a boundary event that nothing recorded lets the wait pass", "[schedule]") {
  CHECK_NOTHROW(HappensBefore(one_op(StreamId::compute, {0}, {})));
}

TEST_CASE("HappensBefore: the most recent record above a wait is the one it means", "[schedule]") {
  Schedule s{.event_count = 1};
  for (int i = 0; i < 3; ++i)
    s.ops.push_back(
        {.kind = OpKind::gather, .stream = StreamId::comm, .records = i < 2 ? std::optional(0) : std::nullopt});
  s.ops.push_back({.kind = OpKind::forward, .waits = {0}});
  const HappensBefore order(s);
  CHECK(order.before(1, 3));
  CHECK_FALSE(order.before(2, 3));
}

TEST_CASE("HappensBefore: a wait without a record names its op", "[schedule]") {
  Schedule s = one_op(StreamId::compute, {0}, {});
  s.boundary_events.clear();
  CHECK_THROWS_WITH(HappensBefore(s), Catch::Contains("forward (op 0)") && Catch::Contains("event 0"));
}
