// What remainder.h says that programs take of the heap, against malloc's own count.

#include <catch2/catch.hpp>

#include <malloc.h>

#include "launch/plan/remainder.h"
#include "runtime/base/heap_meter.h"
#include "runtime/execute/executor.h"
#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

TEST_CASE("heap_bytes: a schedule takes what malloc counts for a copy of it") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.model.layers = 20;
  const RankPrograms programs = build_programs(settings, 1, 3);
  const Schedule& step = *programs.run.find(ScheduleKind::step);
  const auto used = [] {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<Bytes>(info.uordblks + info.hblkhd);
  };
  const Bytes before = used();
  const Schedule copy = step;
  const Bytes taken = used() - before;
  // A large block lies in pages of its own.
  CHECK(std::abs(taken - heap_bytes(copy)) <= taken / 100 + 3 * 4096);
}

TEST_CASE("Executor: binding a schedule takes what bound_bytes says") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.model.layers = 20;
  const PlannedPrograms planned = plan_programs(settings, 1, 3);
  OpTable table;
  for (int kind = 0; kind < op_kind_count; ++kind) table.set(static_cast<OpKind>(kind), [](const OpContext&) {});
  const std::unique_ptr<Device> device = make_cpu_device(run_stream_count, 1);
  const Bytes arena_bytes = planned.plan.device.peak_bytes;
  const Arenas arenas{.device = {device->allocate(arena_bytes), static_cast<std::size_t>(arena_bytes)}};
  Bytes expected = 0;
  std::vector<const Schedule*> schedules;
  for (const Schedule& schedule : planned.programs.run.schedules) {
    schedules.push_back(&schedule);
    expected += Executor::bound_bytes(schedule);
  }
  const HeapMeter meter;
  const Executor executor(*device, arenas, schedules, table, {});
  // The device's list of events doubles as it grows; untouched pages of it are not held.
  CHECK(meter.held_bytes() >= expected * 99 / 100);
  CHECK(meter.held_bytes() <= expected * 125 / 100 + 16 * KiB);
}
