// Plans of the largest models and runs: seconds of a core, and bytes of the heap.

#include <catch2/catch.hpp>

#include <cstdio>
#include <ctime>

#include "launch/plan/rank_plan.h"

using namespace trireme;

namespace {

/// Of a core, taken by this process: what others take of it does not count, though they slow it down by half or more.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

TrainerSettings settings_of(const ModelConfig& model, int sequence, int ranks) {
  TrainerSettings settings;
  settings.model = model;
  settings.sequence = sequence;
  settings.micro_batch = 1;
  settings.global_batch = ranks;
  return settings;
}

}  // namespace

TEST_CASE("plan_ranks: Llama of 405B on 16,384 ranks") {
  TrainerSettings settings = settings_of({.family = Family::llama,
                                          .layers = 126,
                                          .width = 16384,
                                          .heads = 128,
                                          .kv_heads = 8,
                                          .ffn = 53248,
                                          .vocab = 128256,
                                          .context = 4096,
                                          .tied = false},
                                         4096, 16384);
  settings.spec.nodes.ranks_per_node = 8;
  const double start = processor_seconds();
  const std::vector<RankPlan> plans = plan_ranks(settings, 16384, 8);
  const double seconds = processor_seconds() - start;
  REQUIRE(plans.size() == 1);
  CHECK(plans.front().ranks.count == 16384);
  const ArenaPlan& arena = plans.front().arena;
  std::printf("405B on 16,384 ranks: %.2f s, arena %.4f of its lower bound\n", seconds,
              static_cast<double>(arena.peak_bytes) / static_cast<double>(arena.lower_bound_bytes));
  CHECK(seconds < 2);
  CHECK(arena.peak_bytes <= arena.lower_bound_bytes + arena.lower_bound_bytes / 100);
}

TEST_CASE("plan_ranks: 10,000 layers, in time that grows with them, within 400 MB") {
  for (const int ranks : {1, 2}) {
    const auto seconds = [&](int layers) {
      const ModelConfig model{.family = Family::llama,
                              .layers = layers,
                              .width = 64,
                              .heads = 4,
                              .kv_heads = 4,
                              .ffn = 256,
                              .vocab = 256,
                              .context = 64};
      const double start = processor_seconds();
      const std::vector<RankPlan> plans = plan_ranks(settings_of(model, 64, ranks), ranks, ranks);
      CHECK(plans.front().building_bytes < 400'000'000);
      return processor_seconds() - start;
    };
    const double part = seconds(2500), whole = seconds(10'000);
    std::printf("10,000 layers on %d ranks: %.2f s; a quarter of them: %.2f s\n", ranks, whole, part);
    CHECK(whole < 10);  // 5 on a core that does nothing else
    CHECK(whole < 4 * part * 2 + 0.5);
  }
}

TEST_CASE("rank_classes: 262,144 ranks, a reduce for every four of them, are told apart in seconds") {
  const TrainerSettings settings = settings_of({.family = Family::llama,
                                                .layers = 1,
                                                .width = 64,
                                                .heads = 4,
                                                .kv_heads = 4,
                                                .ffn = 256,
                                                .vocab = 256,
                                                .context = 64},
                                               64, 1);
  const ModelSpec model = build_programs(settings, 0, 1).model;
  const StepSpec spec{
      .mesh = {.data = 262'144}, .microbatches = 262'144, .sum_group = 4, .nodes = {.ranks_per_node = 0}};
  const double start = processor_seconds();
  int count = 0;
  for (const RankClass& rank_class : rank_classes(model, spec)) count += rank_class.count;
  CHECK(count == 262'144);
  CHECK(processor_seconds() - start < 10);
}
