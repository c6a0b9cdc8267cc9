#include "runtime/schedule/timeline.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <utility>

#include "runtime/base/random.h"
#include "tests/runtime/schedule/schedule_builder.h"

namespace trireme {
namespace {

using test::ScheduleBuilder;

// gather 0 -> forward 0; gather 1 runs beside forward 0; forward 1 waits for both.
Schedule two_layers() {
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId full0 = builder.add("full0", 1), full1 = builder.add("full1", 1), x = builder.add("x", 1);
  builder.add(OpKind::gather, StreamId::comm, {}, {full0});
  builder.add(OpKind::gather, StreamId::comm, {}, {full1});
  builder.add(OpKind::forward, StreamId::compute, {full0}, {x});
  builder.add(OpKind::forward, StreamId::compute, {full1, x}, {});
  return std::move(builder).finish();
}

}  // namespace

TEST_CASE("plan_timeline: an op starts when its stream is free and its waits are recorded", "[schedule]") {
  const std::vector<double> durations{5, 7, 3, 2};
  const Timeline timeline =
      plan_timeline(two_layers(), [&](OpId op) { return durations[static_cast<std::size_t>(op)]; });
  const auto is = [&](std::size_t op, double start, double end) {
    return timeline.ops[op].start_us == start && timeline.ops[op].end_us == end;
  };
  CHECK(is(0, 0, 5));
  CHECK(is(1, 5, 12));
  CHECK(is(2, 5, 8));
  CHECK(is(3, 12, 14));
  CHECK(timeline.end_us() == 14);
}

TEST_CASE("plan_timeline: a wait means the last record above it; a boundary event nobody recorded passes",
          "[schedule]") {
  Schedule schedule = two_layers();
  for (Op& op : schedule.ops) op.waits.clear(), op.records.reset();
  schedule.event_count = 2;
  schedule.boundary_events = {{.event = 1, .name = "x"}};
  schedule.ops[0].records = 0;
  schedule.ops[2].waits = {0, 1};
  schedule.ops[3].records = 0;
  const Timeline timeline = plan_timeline(schedule, [](OpId op) { return op + 1.0; });
  CHECK(timeline.ops[2].start_us == 1);
  CHECK(timeline.ops[3].end_us == 8);
  CHECK(timeline.ops[1].end_us == 3);
}

TEST_CASE("plan_timeline: an empty schedule takes no time", "[schedule]") {
  CHECK(plan_timeline(Schedule{}, [](OpId) { return 1.0; }).end_us() == 0);
}

TEST_CASE(
    "compute_stalls: what compute waits for events, not what it starts with and not gaps before ops without waits",
    "[schedule]") {
  Schedule schedule = two_layers();
  // forward 0 starts late, forward 1 waits from 8 to 12.
  const std::vector<Timeline::Span> stalls = compute_stalls(schedule, {.ops = {{0, 5}, {5, 12}, {6, 8}, {12, 14}}});
  REQUIRE(stalls.size() == 1);
  CHECK(stalls[0].start_us == 8);
  CHECK(stalls[0].end_us == 12);
  schedule.ops[3].waits.clear();
  CHECK(compute_stalls(schedule, {.ops = {{0, 5}, {5, 12}, {6, 8}, {12, 14}}}).empty());
}

TEST_CASE("split_stalls: skew is what of the stalls lies in waits for late peers, exposed the rest", "[schedule]") {
  using Spans = std::vector<Timeline::Span>;
  const auto split = [](const Spans& stalls, const Spans& late) {
    const StallTime time = split_stalls(stalls, late);
    return std::pair(time.exposed_us, time.skew_us);
  };
  CHECK(split({}, {{0, 9}}) == std::pair(0.0, 0.0));
  CHECK(split({{2, 6}, {10, 11}}, {}) == std::pair(5.0, 0.0));
  CHECK(split({{2, 6}}, {{0, 3}, {4, 5}, {5, 9}}) == std::pair(1.0, 3.0));
  CHECK(split({{2, 6}, {8, 10}, {12, 13}}, {{1, 9}}) == std::pair(2.0, 5.0));  // one wait over two stalls
  CHECK(split({{2, 6}}, {{0, 2}, {6, 8}}) == std::pair(4.0, 0.0));
  CHECK(split({{2, 6}, {20, 30}}, {{2, 6}, {7, 9}, {25, 26}}) == std::pair(9.0, 5.0));
}

TEST_CASE("split_stalls: the parts sum to the stalls, and skew to what a count of microseconds finds", "[schedule]") {
  const Random random(3, "stalls");
  std::uint64_t draws = 0;
  const auto make = [&] {
    std::vector<Timeline::Span> spans;
    for (std::uint64_t at = random.below(draws++, 5); spans.size() < 8; at += random.below(draws++, 5)) {
      const std::uint64_t end = at + 1 + random.below(draws++, 6);
      spans.push_back({static_cast<double>(at), static_cast<double>(end)});
      at = end;
    }
    return spans;
  };
  const auto covers = [](const std::vector<Timeline::Span>& spans, double at) {
    return std::any_of(spans.begin(), spans.end(), [&](const auto& s) { return s.start_us <= at && at < s.end_us; });
  };
  for (int round = 0; round < 200; ++round) {
    const auto stalls = make(), late = make();
    StallTime counted;
    for (int at = 0; at < 200; ++at)
      if (covers(stalls, at)) (covers(late, at) ? counted.skew_us : counted.exposed_us) += 1;
    const StallTime time = split_stalls(stalls, late);
    CHECK(time.skew_us == counted.skew_us);
    CHECK(time.exposed_us == counted.exposed_us);
  }
}

}  // namespace trireme
