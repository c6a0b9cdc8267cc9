// Plans of real models: what they print is near the least that is possible, and does not change unnoticed.

#include <catch2/catch.hpp>

#include "models/describe.h"
#include "shard/build_step.h"
#include "shard/flat_layout.h"

using namespace trireme;

namespace {

struct Golden {
  const char* name;
  ModelConfig model;
  int sequences, sequence;
};

const Golden goldens[] = {
    {"GPT-2 124M", {.family = Family::gpt2, .layers = 12, .width = 768, .heads = 12, .kv_heads = 12, .ffn = 3072, .vocab = 50257, .context = 1024}, 4, 512},
    {"GPT-2 small batch", {.family = Family::gpt2, .layers = 12, .width = 768, .heads = 12, .kv_heads = 12, .ffn = 3072, .vocab = 50257, .context = 1024}, 1, 64},
    {"Llama 4.5M", {.family = Family::llama, .layers = 6, .width = 256, .heads = 4, .kv_heads = 2, .ffn = 704, .vocab = 256, .context = 256}, 8, 256},
    {"Llama 30M, untied", {.family = Family::llama, .layers = 8, .width = 448, .heads = 7, .kv_heads = 7, .ffn = 1216, .vocab = 8192, .context = 512, .tied = false}, 2, 256},
    {"Llama 350M", {.family = Family::llama, .layers = 24, .width = 1024, .heads = 16, .kv_heads = 8, .ffn = 2752, .vocab = 32000, .context = 1024, .tied = false}, 1, 256},
};

// Transient bytes over their lower bound.
double quality(const Golden& golden, int ranks, int rounds, Recompute policy, bool messages) {
  const ModelSpec model = describe(golden.model, {.sequences = golden.sequences, .sequence = golden.sequence});
  StepSpec spec{.mesh = {.data = ranks}, .microbatches = rounds * ranks, .prefetch = 1 + rounds % 2, .recompute = policy};
  spec.nodes.ranks_per_node = messages ? 1 : 0;
  RunPrograms run = build_run(model, spec, {.validate = true});
  const ArenaPlan plan = plan_run(run, INT64_MAX).device;
  return static_cast<double>(plan.peak_bytes - plan.states_bytes) /
         static_cast<double>(plan.lower_bound_bytes - plan.states_bytes);
}

constexpr Recompute policies[] = {Recompute::none, Recompute::attention, Recompute::mlp, Recompute::block};

}  // namespace

TEST_CASE("plan_memory: for real models on 2 ranks the transient peak is within 1% of its lower bound") {
  for (const Golden& golden : goldens)
    for (const Recompute policy : {Recompute::none, Recompute::block}) {
      const double ratio = quality(golden, 2, 1, policy, true);
      CAPTURE(golden.name, name(policy), ratio);
      CHECK(ratio <= 1.01);
    }
}

TEST_CASE("plan_memory: for real models in any layout it is so in 98 of 100, and never above 2%") {
  int layouts = 0, near = 0;
  for (const Golden& golden : goldens)
    for (const int ranks : {1, 2, 3, 8})
      for (const Recompute policy : policies)
        for (const int rounds : {1, 3})
          for (const bool messages : {false, true}) {
            const double ratio = quality(golden, ranks, rounds, policy, messages);
            CAPTURE(golden.name, ranks, name(policy), rounds, messages, ratio);
            CHECK(ratio <= 1.02);
            ++layouts;
            near += ratio <= 1.01;
          }
  CHECK(near * 100 >= layouts * 98);
}

TEST_CASE("plan_memory: recompute of blocks keeps less, and parameters keep their bytes") {
  const ModelSpec model = describe(goldens[0].model, {.sequences = 4, .sequence = 512});
  Bytes last = INT64_MAX;
  Elems slices = 0;
  for (const UnitSpec& unit : model.units) slices += FlatLayout(unit, 2).slice_elems;
  for (const Recompute policy : policies) {
    RunPrograms run = build_run(model, {.mesh = {.data = 2}, .microbatches = 2, .recompute = policy}, {});
    const ArenaPlan plan = plan_run(run, INT64_MAX).device;
    CHECK(plan.peak_bytes < last);
    CHECK(plan.states_bytes == 14 * slices);
    last = plan.peak_bytes;
  }
}
