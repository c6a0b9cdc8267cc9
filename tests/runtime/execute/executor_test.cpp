#include "runtime/execute/executor.h"
#include "runtime/execute/op_error.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/error.h"
#include "tests/runtime/schedule/schedule_builder.h"

using namespace trireme;
using namespace std::chrono_literals;
using trireme::test::ScheduleBuilder;

namespace {

constexpr StreamId compute = StreamId::compute, comm = StreamId::comm;

/// What an executor needs beside its schedules.
struct Machine {
  std::unique_ptr<Device> device = make_cpu_device(2, 1);
  Arenas arenas{.device = {device->allocate(4096), 4096}};
  OpTable table;
  std::atomic<int> ran{0}, failures{0};

  Machine() {
    for (const OpKind kind : {OpKind::gather, OpKind::forward, OpKind::backward, OpKind::release, OpKind::update})
      table.set(kind, [this](const OpContext&) { ++ran; });
  }
  std::unique_ptr<Executor> make(std::vector<const Schedule*> schedules, std::vector<OpObserver*> observers = {}) {
    return std::make_unique<Executor>(*device, arenas, schedules, table,
                                      RunWatch{.observers = observers, .on_failure = [this] { ++failures; }});
  }
};

/// Five ops of unit 0 to 4 on compute.
Schedule five_ops() {
  ScheduleBuilder builder(ScheduleKind::step);
  for (int i = 0; i < 5; ++i) builder.add(i == 2 ? OpKind::backward : OpKind::forward, compute, {}, {});
  Schedule schedule = std::move(builder).finish();
  for (std::int32_t i = 0; i < 5; ++i) schedule.ops[static_cast<std::size_t>(i)].unit = i;
  schedule.rank = 3;
  return schedule;
}

/// Writes down what it sees.
class Notes final : public OpObserver {
 public:
  Notes(std::string name, std::vector<std::string>& lines) : name_(std::move(name)), lines_(lines) {}
  void before(const Schedule&, OpId op) override { lines_.push_back(name_ + " before " + std::to_string(op)); }
  void after(const Schedule&, OpId op) override { lines_.push_back(name_ + " after " + std::to_string(op)); }

 private:
  std::string name_;
  std::vector<std::string>& lines_;
};

}  // namespace

TEST_CASE("Executor: an op without a handler is refused by name before anything runs") {
  Machine machine;
  Schedule schedule = five_ops();
  schedule.ops[4].kind = OpKind::verdict;
  CHECK_THROWS_WITH(machine.make({&schedule}),
                    Catch::Contains("no handler for verdict unit 4") && Catch::Contains("step"));
  machine.device->synchronize();
  CHECK(machine.ran == 0);
}

TEST_CASE("Executor: a buffer that was never placed is refused by name before anything runs") {
  Machine machine;
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId lost = builder.add("lost", 8), token = builder.add("token", 0, Role::token);
  builder.add(OpKind::forward, compute, {}, {lost, token});
  Schedule schedule = std::move(builder).finish();
  CHECK_THROWS_WITH(machine.make({&schedule}), Catch::Contains("lost") && Catch::Contains("never placed"));
  CHECK(machine.ran == 0);
  schedule.buffers[0].offset = 0;  // a token needs no place
  CHECK_NOTHROW(machine.make({&schedule}));
}

TEST_CASE("Executor: a buffer outside of its arena is refused by name before anything runs") {
  Machine machine;
  ScheduleBuilder builder(ScheduleKind::step);
  builder.add(OpKind::forward, compute, {}, {builder.add("long", 512)});
  Schedule schedule = std::move(builder).finish();
  schedule.buffers[0].offset = 3584;
  CHECK_NOTHROW(machine.make({&schedule}));
  schedule.buffers[0].offset = 3840;
  CHECK_THROWS_WITH(machine.make({&schedule}),
                    Catch::Contains("long") && Catch::Contains("device arena of 4096 bytes"));
  schedule.buffers[0].offset = 0;
  schedule.buffers[0].space = Space::host;
  CHECK_THROWS_WITH(machine.make({&schedule}), Catch::Contains("long") && Catch::Contains("host arena of 0 bytes"));
  CHECK(machine.ran == 0);
}

TEST_CASE("Executor: an op that throws names rank, schedule, op and the ops around it, and stops the rest") {
  Machine machine;
  machine.table.set(OpKind::backward, [](const OpContext&) { throw Error(ErrorKind::comm, "the peer is gone"); });
  const Schedule schedule = five_ops();
  const auto executor = machine.make({&schedule});
  std::string message;
  try {
    executor->run(0);
    executor->wait();
    FAIL("no error came");
  } catch (const OpError& error) {
    CHECK(error.kind() == ErrorKind::comm);
    message = error.what();
  }
  CAPTURE(message);
  for (const char* part :
       {"rank 3", "schedule step", "backward unit 2 (op 2): the peer is gone", "  forward unit 0 (op 0)",
        "  forward unit 1 (op 1)", "> backward unit 2 (op 2)", "  forward unit 3 (op 3)", "  forward unit 4 (op 4)"})
    CHECK_THAT(message, Catch::Contains(part));
  CHECK(machine.failures == 1);
  CHECK(machine.ran == 2);
}

TEST_CASE("Executor: an op that throws something other than Error is named, too, as a bug") {
  Machine machine;
  machine.table.set(OpKind::backward, [](const OpContext&) { throw std::out_of_range("vector::at"); });
  const Schedule schedule = five_ops();
  const auto executor = machine.make({&schedule});
  try {
    executor->run(0);
    executor->wait();
    FAIL("no error came");
  } catch (const OpError& error) {
    CHECK(error.kind() == ErrorKind::bug);
    CHECK_THAT(error.what(), Catch::Contains("rank 3, schedule step, backward unit 2 (op 2): vector::at"));
  }
  CHECK(machine.failures == 1);
}

TEST_CASE("Executor: observers see every op before and after its handler, in the order in which they were given") {
  std::vector<std::string> lines, expected;
  Machine machine;
  for (const OpKind kind : {OpKind::forward, OpKind::backward})
    machine.table.set(kind,
                      [&lines](const OpContext& context) { lines.push_back("run " + std::to_string(context.id)); });
  Notes first("first", lines), second("second", lines);
  const Schedule schedule = five_ops();
  const auto executor = machine.make({&schedule}, {&first, &second});
  executor->run(0);
  executor->wait();
  for (int op = 0; op < 5; ++op)
    for (const char* line : {"first before ", "second before ", "run ", "first after ", "second after "})
      expected.push_back(line + std::to_string(op));
  CHECK(lines == expected);
}

TEST_CASE("Executor: an op starts when the ops that it waits for have ended, and the timeline says so") {
  Machine machine;
  machine.table.set(OpKind::gather, [](const OpContext&) { std::this_thread::sleep_for(3ms); });
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId a = builder.add("a", 8), b = builder.add("b", 8);
  builder.add(OpKind::gather, comm, {}, {a});
  builder.add(OpKind::forward, compute, {a}, {});
  builder.add(OpKind::gather, comm, {}, {b});
  builder.add(OpKind::forward, compute, {a}, {});
  builder.add(OpKind::backward, compute, {b}, {});
  Schedule schedule = std::move(builder).finish();
  schedule.buffers[0].offset = 0, schedule.buffers[1].offset = 256;
  const auto executor = machine.make({&schedule});
  for (int run = 0; run < 2; ++run) {
    executor->run(0);
    executor->wait();
    const Timeline timeline = executor->timeline(0);
    REQUIRE(timeline.ops.size() == 5);
    CHECK(timeline.ops[0].start_us == 0);
    for (const Timeline::Span& span : timeline.ops) CHECK(span.start_us <= span.end_us);
    for (const auto& [before, after] : {std::pair(0, 1), {0, 2}, {1, 3}, {3, 4}, {2, 4}})
      CHECK(timeline.ops[static_cast<std::size_t>(before)].end_us <=
            timeline.ops[static_cast<std::size_t>(after)].start_us);
    // The second gather takes 3 ms, and the last op stands still for most of it.
    const StallTime stalls = executor->stalls(0, {});
    CHECK(stalls.exposed_us >= 0);
    CHECK(stalls.exposed_us <= timeline.end_us());
    CHECK(stalls.skew_us == 0);
  }
  CHECK(machine.ran == 6);
}

TEST_CASE("Executor: a boundary event carries an op's end into the next schedule, whatever its number there") {
  const bool is_recorded = GENERATE(true, false);
  CAPTURE(is_recorded);
  Machine machine;
  std::atomic<bool> may_end{false}, done{false}, seen{false};
  machine.table.set(OpKind::gather, [&](const OpContext&) {
    while (!may_end) std::this_thread::sleep_for(100us);
    done = true;
  });
  machine.table.set(OpKind::update, [&](const OpContext&) { seen = done.load(); });
  ScheduleBuilder first_builder(ScheduleKind::step), next_builder(ScheduleKind::validate);
  first_builder.add(OpKind::gather, comm, {}, {});
  next_builder.add(OpKind::release, comm, {}, {});
  next_builder.add(OpKind::update, compute, {}, {});
  Schedule first = std::move(first_builder).finish(), next = std::move(next_builder).finish();
  first.boundary_events = {{.event = 0, .name = "end.comm"}};
  next.event_count = 3;
  next.boundary_events = {{.event = 2, .name = "end.comm"}};
  next.ops[1].waits = {2};
  const auto executor = machine.make({&first, &next});
  std::atomic<int> idle{0};
  machine.device->set_idle(static_cast<Device::Stream>(compute), [&] { ++idle; });
  if (is_recorded) executor->run(0);
  executor->run(1);
  // Of two calls of the hook the second began when compute either waited or had run all that it was given.
  for (const int before = idle; idle < before + 2;) std::this_thread::sleep_for(100us);
  machine.device->set_idle(static_cast<Device::Stream>(compute), nullptr);
  may_end = true;
  executor->wait();
  // Where nothing ever recorded the event, the wait passes.
  CHECK(seen == is_recorded);
}

TEST_CASE("Executor: wait_compute returns when compute is done, and gathers may run on") {
  Machine machine;
  std::atomic<bool> may_end{false};
  machine.table.set(OpKind::gather, [&](const OpContext&) {
    while (!may_end) std::this_thread::sleep_for(100us);
    ++machine.ran;
  });
  ScheduleBuilder builder(ScheduleKind::step);
  builder.add(OpKind::gather, comm, {}, {});
  builder.add(OpKind::forward, compute, {}, {});
  const Schedule schedule = std::move(builder).finish();
  const auto executor = machine.make({&schedule});
  executor->run(0);
  executor->wait_compute();
  CHECK(machine.ran == 1);
  may_end = true;
  executor->wait();
  CHECK(machine.ran == 2);
}
