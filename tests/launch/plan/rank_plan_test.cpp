#include "launch/plan/rank_plan.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>

#include "launch/plan/process_memory.h"
#include "runtime/base/heap_meter.h"
#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

// As the program does at its start, before anything large was taken.
[[maybe_unused]] const bool returns_large_blocks = (return_large_blocks(), true);

TrainerSettings settings_with(int microbatches) {
  TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
  settings.micro_batch = 1;
  settings.global_batch = microbatches;
  return settings;
}

}  // namespace

TEST_CASE(
    "plan_ranks: building_bytes is what building, checking and planning hold at their peak, and no more is held") {
  const int ranks = GENERATE(1, 3, 5);
  const TrainerSettings settings = settings_with(101);
  std::vector<RankPlan> plans;
  const HeapMeter meter;
  plans = plan_ranks(settings, ranks, ranks);
  Bytes building = 0;
  for (const RankPlan& plan : plans) building = std::max(building, plan.building_bytes);
  // The list of plans stands beside it.
  CHECK(meter.peak_bytes() >= building);
  CHECK(meter.peak_bytes() <= building + 64 * KiB);
}

TEST_CASE("plan_ranks: a rank of a run holds what the plan of its class says, each rank of it") {
  constexpr int ranks = 5;
  const TrainerSettings settings = settings_with(13);
  const std::vector<RankPlan> plans = plan_ranks(settings, ranks, ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    CAPTURE(rank);
    const Bytes proving = build_within(INT64_MAX, [&] { prove_programs(settings, ranks); });
    const Bytes planning = build_within(INT64_MAX, [&] { plan_programs(settings, rank, ranks); });
    // malloc now and then gives a few bytes more than it was asked for.
    const auto is_it = [&](const RankPlan& plan) {
      return std::abs(plan.building_bytes - std::max(proving, planning)) <= plan.building_bytes / 200;
    };
    CHECK(std::any_of(plans.begin(), plans.end(), is_it));
  }
}

TEST_CASE(
    "plan_ranks: where building dominates, the remainder has a part for it, and the whole is the larger of the two") {
  const RankPlan many = plan_ranks(settings_with(301), 1, 1).front(), few = plan_ranks(settings_with(1), 1, 1).front();
  CHECK(many.building_bytes > many.arena.peak_bytes + many.remainder.programs);
  CHECK(many.remainder.building > 0);
  CHECK(many.bytes() == many.remainder.process + many.remainder.mpi + many.building_bytes);
  CHECK(few.bytes() == few.arena.peak_bytes + few.remainder.total());
  CHECK(few.bytes() >= few.remainder.process + few.remainder.mpi + few.building_bytes);
}

TEST_CASE("build_within: over the limit it is an error of the plan that says so, and all is given back") {
  const TrainerSettings settings = settings_with(101);
  const Bytes needed = build_within(INT64_MAX, [&] { prove_programs(settings, 2); });
  const HeapMeter meter;
  for (const Bytes limit : {Bytes{0}, Bytes{1000}, needed / 2, needed * 9 / 10}) {
    CAPTURE(limit);
    try {
      build_within(limit, [&] { prove_programs(settings, 2); });
      FAIL("was built");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::plan);
      CHECK_THAT(error.what(), Catch::Contains("programs of a step"));
    }
    CHECK(meter.held_bytes() < 4 * KiB);
    CHECK(meter.peak_bytes() <= limit + 4 * KiB);
  }
  CHECK_NOTHROW(build_within(needed + 2 * MiB, [&] { prove_programs(settings, 2); }));
}

TEST_CASE("fitting_change: tries changes within the memory that there is, and names one that fits") {
  const TrainerSettings settings = settings_with(101);
  const RankPlan plan = plan_ranks(settings, 1, 1).front();
  const Bytes half = plan.building_bytes / 2;
  const MemoryLimits limits{.process_bytes = plan.bytes() - half, .heap_bytes = half};
  const HeapMeter meter;
  const std::string change = fitting_change(settings, 1, 1, limits);
  CHECK_THAT(change, Catch::Contains("ranks would fit"));
  CHECK(meter.peak_bytes() <= limits.heap_bytes);
}

TEST_CASE(
    "fitting_change: a program that takes long to build is not tried again and again, and the words say what is left") {
  TrainerSettings settings = settings_with(200'000);
  settings.model.layers = 64;
  CHECK_THAT(fitting_change(settings, 1, 1, {.process_bytes = 1}), Catch::Contains("fewer microbatches"));
}
