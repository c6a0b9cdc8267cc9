// The builder, the checks and the plan at the size of a very large run.

#include <catch2/catch.hpp>

#include <cstdio>
#include <ctime>

#include "runtime/schedule/check/check.h"
#include "shard/build_step.h"
#include "tests/shard/random_spec.h"

using namespace trireme;

namespace {

/// Of a core, taken by this process: what others take of it does not count.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

ModelSpec deep_model(int layers) {
  test::RandomSpec random(1);
  ModelSpec model;
  while (model.units.size() < 4) model = random.model(3);
  const UnitSpec block = model.units[1], head = model.units.back();
  model.units.resize(1);
  for (int layer = 0; layer < layers; ++layer) model.units.push_back(block);
  model.units.push_back(head);
  return model;
}

double build_seconds(int layers, int microbatches) {
  const ModelSpec model = deep_model(layers);
  const StepSpec spec{.mesh = {.data = 4}, .microbatches = 4 * microbatches, .prefetch = 2};
  const double start = processor_seconds();
  build_run(model, spec, {});
  return processor_seconds() - start;
}

}  // namespace

TEST_CASE("1,000 layers x 64 microbatches are built in seconds, checked and planned in half a minute") {
  const double quarter = build_seconds(1000, 16), whole = build_seconds(1000, 64);
  std::printf("build: %.2f s; a quarter of it: %.2f s\n", whole, quarter);
  CHECK(whole < 5);
  CHECK(whole < 4 * quarter * 1.6 + 0.2);  // linear, with room for noise

  const ModelSpec model = deep_model(1000);
  const StepSpec spec{.mesh = {.data = 4}, .microbatches = 4 * 64, .prefetch = 2};
  RunPrograms run = build_run(model, spec, {});
  const Schedule& step = *run.find(ScheduleKind::step);
  double start = processor_seconds();
  REQUIRE_FALSE(check(step).has_value());
  const double check_s = processor_seconds() - start;
  start = processor_seconds();
  const MemoryPlan plan = plan_run(run, INT64_MAX);
  const double plan_s = processor_seconds() - start;
  std::printf("%zu ops, %zu buffers: check %.2f s, plan %.2f s, peak %.4f of its lower bound\n", step.ops.size(),
              step.buffers.size(), check_s, plan_s,
              static_cast<double>(plan.device.peak_bytes) / static_cast<double>(plan.device.lower_bound_bytes));
  start = processor_seconds();
  REQUIRE_FALSE(check(step).has_value());
  const double bytes_s = processor_seconds() - start;
  std::printf("check by bytes: %.2f s\n", bytes_s);
  CHECK(check_s + plan_s + bytes_s < 30);
}
