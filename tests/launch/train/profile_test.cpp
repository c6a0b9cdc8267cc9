#include "launch/train/profile.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "launch/train/step_clock.h"

using namespace trireme;

namespace {

ModelSpec one_block() {
  ModelSpec model;
  model.units = {{.name = "embedding"}, {.name = "block0"}};
  model.units[1].segments = {{.kind = SegmentKind::attention, .forward_flops = 1e6, .backward_flops = 2e6},
                             {.kind = SegmentKind::mlp, .forward_flops = 3e6, .backward_flops = 6e6}};
  return model;
}

Op op(OpKind kind, StreamId stream, std::optional<int> unit = {}, std::optional<int> segment = {}) {
  Op made;
  made.kind = kind, made.stream = stream, made.unit = unit, made.segment = segment;
  return made;
}

Schedule made_up_step() {
  Schedule step;
  step.kind = ScheduleKind::step;
  step.ops = {op(OpKind::gather, StreamId::comm, 1), op(OpKind::forward, StreamId::compute, 1, 0),
              op(OpKind::forward, StreamId::compute, 1, 1), op(OpKind::backward, StreamId::compute, 1, 1),
              op(OpKind::update, StreamId::compute, 1)};
  step.ops[0].bytes = 4'000'000;
  step.ops[3].waits = {0};
  step.event_count = 1;
  return step;
}

// The numbers of the first row that begins with `head`.
std::vector<std::string> row(const std::string& table, const std::string& head) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(head, 0) != 0) continue;
    std::istringstream words(line.substr(head.size()));
    std::vector<std::string> row;
    for (std::string word; words >> word;) row.push_back(word);
    return row;
  }
  return {};
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("print_profile: averages over the steps, rates of flops and bytes, stalls and idle time") {
  // Two steps of 10 ms: 1 + 3 + 4 ms of forward and backward, 0.5 of update, 1 stalled before backward, 0.5 idle.
  StepTimes times{.steps = 2, .wall_us = 20'000, .skew_us = 500};
  times.ops = {{.busy_us = 4000},
               {.busy_us = 2000},
               {.busy_us = 6000},
               {.busy_us = 8000, .stalled_us = 2000},
               {.busy_us = 1000}};
  const std::string table = print_profile(made_up_step(), one_block(), times, 4e9);
  CAPTURE(table);
  CHECK(table.find("2 steps from step 2 on, 10.000 ms each") != std::string::npos);
  CHECK(row(table, "compute  forward ") == Words{"2", "4.000", "40.0%", "1.0", "25.0%", "-"});
  CHECK(row(table, "compute  backward ") == Words{"1", "4.000", "40.0%", "1.5", "37.5%", "-"});
  CHECK(row(table, "compute  update ") == Words{"1", "0.500", "5.0%", "-", "-", "-"});
  CHECK(row(table, "compute  exposed communication ") == Words{"-", "0.750", "7.5%", "-", "-", "-"});
  CHECK(row(table, "compute  skew ") == Words{"-", "0.250", "2.5%", "-", "-", "-"});
  CHECK(row(table, "compute  idle ") == Words{"-", "0.500", "5.0%", "-", "-", "-"});
  CHECK(row(table, "comm     gather ") == Words{"1", "2.000", "20.0%", "-", "-", "2.00"});
  CHECK(row(table, "compute  backward block0 mlp ") == Words{"1", "4.000", "40.0%", "1.5", "37.5%", "-"});
  // The longest op comes first.
  const std::size_t longest = table.find("the longest ops\n");
  REQUIRE(longest != std::string::npos);
  CHECK(table.find("backward block0 mlp") < table.find("forward block0 mlp"));
  CHECK(row(table.substr(longest), "comm     gather block0 ") == Words{"1", "2.000", "20.0%", "-", "-", "2.00"});
}

TEST_CASE("print_profile: of many ops the ten longest stand in the list") {
  Schedule step;
  StepTimes times{.steps = 1, .wall_us = 1000};
  for (int i = 0; i < 30; ++i) {
    step.ops.push_back(op(OpKind::forward, StreamId::compute, 1, 0));
    step.ops.back().microbatch = i;
    times.ops.push_back({.busy_us = static_cast<double>((7 * i) % 30)});
  }
  const std::string table = print_profile(step, one_block(), times, 1e9);
  const std::string list = table.substr(table.find("the longest ops\n"));
  CHECK(std::count(list.begin(), list.end(), '\n') == 10);
  for (int i = 0; i < 30; ++i)
    CHECK((list.find(fmt::format(" mb {} ", i)) != std::string::npos) == ((7 * i) % 30 >= 20));
}

TEST_CASE("print_profile: a run of fewer than three steps says so") {
  CHECK(print_profile(made_up_step(), one_block(), {}, 1e9).find("no step was counted") != std::string::npos);
}

TEST_CASE("StepClock: counts from step 2 on; what stands between steps is idle, not stalled") {
  StepClock clock;
  const Schedule step = made_up_step();
  Schedule other = step;
  other.kind = ScheduleKind::validate;
  const auto run = [&](const Schedule& schedule) {
    for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id) {
      if (id == 3) std::this_thread::sleep_for(std::chrono::milliseconds(3));  // before backward, which waits
      clock.before(schedule, id);
      if (id == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      clock.after(schedule, id);
    }
  };
  run(step);
  run(step);
  CHECK(clock.times().steps == 0);
  CHECK(clock.times().wall_us == 0);
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    run(step);
  }
  const StepTimes times = clock.times();
  CHECK(times.steps == 2);
  REQUIRE(times.ops.size() == step.ops.size());
  CHECK(times.ops[1].busy_us >= 2 * 2000);
  CHECK(times.ops[3].stalled_us >= 2 * 3000);
  CHECK(times.ops[0].busy_us > 0);
  for (const std::size_t i : {0, 1, 2, 4}) CHECK(times.ops[i].stalled_us == 0);
  double busy_us = 0, stalled_us = 0;
  for (std::size_t i = 1; i < times.ops.size(); ++i)
    busy_us += times.ops[i].busy_us, stalled_us += times.ops[i].stalled_us;
  CHECK(times.wall_us - busy_us - stalled_us >= 2 * 5000);

  // What another schedule takes is nobody's: neither a gap of the next step nor one of its ops.
  const double before_us = times.wall_us;
  run(other);
  CHECK(clock.times().wall_us == before_us);
  run(other);
  const auto start = std::chrono::steady_clock::now();
  run(step);
  const double spent_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  CHECK(clock.times().wall_us - before_us <= spent_us);
}
