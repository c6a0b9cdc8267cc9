#include "runtime/schedule/trace.h"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "tests/runtime/schedule/schedule_builder.h"

namespace trireme {
namespace {

Schedule two_ops() {
  test::ScheduleBuilder builder(ScheduleKind::step);
  const BufferId shard = builder.add("shard\"0", 4), full = builder.add("full0", 8);
  builder.add(OpKind::gather, StreamId::comm, {shard}, {full});
  builder.add(OpKind::forward, StreamId::compute, {full}, {});
  Schedule schedule = std::move(builder).finish();
  schedule.ops[0].unit = schedule.ops[1].unit = 4;
  schedule.ops[0].bytes = 8;
  schedule.ops[1].segment = 1, schedule.ops[1].microbatch = 3;
  return schedule;
}

}  // namespace

TEST_CASE("print_trace: is JSON in the Trace Event Format, with a process per row and a thread per stream",
          "[schedule]") {
  const Schedule schedule = two_ops();
  const Timeline planned = plan_timeline(schedule, [](OpId) { return 2.5; }),
                 measured = plan_timeline(schedule, [](OpId) { return 4.0; });
  const std::vector<TraceRow> rows{{"rank 0 planned", &schedule, &planned}, {"rank 0 measured", &schedule, &measured}};
  const nlohmann::json trace = nlohmann::json::parse(print_trace(rows));
  const nlohmann::json& events = trace.at("traceEvents");
  REQUIRE(events.size() == 2 * (1 + 2 + 2));
  CHECK(events[0] ==
        nlohmann::json{
            {"name", "process_name"}, {"ph", "M"}, {"pid", 0}, {"tid", 0}, {"args", {{"name", "rank 0 planned"}}}});
  CHECK(events[2]["name"] == "thread_name");
  CHECK(events[2]["args"]["name"] == "comm");

  const nlohmann::json &gather = events[3], &forward = events[4];
  CHECK(gather["name"] == "gather unit 4");
  CHECK(gather["ph"] == "X");
  CHECK(gather["tid"] == 1);
  CHECK(gather["ts"] == 0);
  CHECK(gather["dur"] == 2.5);
  CHECK(gather["args"]["bytes"] == 8);
  CHECK(gather["args"]["reads"] == nlohmann::json{{"x", "shard\"0"}});
  CHECK(gather["args"]["writes"] == nlohmann::json{{"out", "full0"}});
  CHECK(forward["tid"] == 0);
  CHECK(forward["ts"] == 2.5);
  CHECK(forward["args"]["segment"] == 1);
  CHECK(forward["args"]["microbatch"] == 3);
  CHECK_FALSE(forward["args"].contains("bytes"));
  CHECK(events[8]["pid"] == 1);
  CHECK(events[9]["ts"] == 4);
}

TEST_CASE("print_trace: no rows are an empty trace; a timeline of another schedule is refused", "[schedule]") {
  CHECK(nlohmann::json::parse(print_trace({})).at("traceEvents").empty());
  const Schedule schedule = two_ops();
  const Timeline empty;
  const std::vector<TraceRow> rows{{"rank 0", &schedule, &empty}};
  CHECK_THROWS_AS(print_trace(rows), Error);
}

}  // namespace trireme
