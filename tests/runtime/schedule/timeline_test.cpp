#include "runtime/schedule/timeline.h"

#include <catch2/catch.hpp>

#include "tests/runtime/schedule/schedule_builder.h"

namespace trireme {
namespace {

using test::ScheduleBuilder;

// gather 0 -> forward 0; gather 1 runs beside forward 0; forward 1 waits for both.
Schedule two_layers() {
  ScheduleBuilder builder("step");
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

}  // namespace trireme
