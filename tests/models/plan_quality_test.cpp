// Plans of real models: what they print is near the least that is possible, and does not change unnoticed.

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

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
    {"GPT-2 124M",
     {.family = Family::gpt2,
      .layers = 12,
      .width = 768,
      .heads = 12,
      .kv_heads = 12,
      .ffn = 3072,
      .vocab = 50257,
      .context = 1024},
     4,
     512},
    {"GPT-2 small batch",
     {.family = Family::gpt2,
      .layers = 12,
      .width = 768,
      .heads = 12,
      .kv_heads = 12,
      .ffn = 3072,
      .vocab = 50257,
      .context = 1024},
     1,
     64},
    {"Llama 4.5M",
     {.family = Family::llama,
      .layers = 6,
      .width = 256,
      .heads = 4,
      .kv_heads = 2,
      .ffn = 704,
      .vocab = 256,
      .context = 256},
     8,
     256},
    {"Llama 30M, untied",
     {.family = Family::llama,
      .layers = 8,
      .width = 448,
      .heads = 7,
      .kv_heads = 7,
      .ffn = 1216,
      .vocab = 8192,
      .context = 512,
      .tied = false},
     2,
     256},
    {"Llama 350M",
     {.family = Family::llama,
      .layers = 24,
      .width = 1024,
      .heads = 16,
      .kv_heads = 8,
      .ffn = 2752,
      .vocab = 32000,
      .context = 1024,
      .tied = false},
     1,
     256},
};

struct Layout {
  int ranks, rounds;
  Recompute policy;
  bool messages;
};

ArenaPlan plan_of(const Golden& golden, const Layout& layout) {
  const ModelSpec model = describe(golden.model, {.sequences = golden.sequences, .sequence = golden.sequence});
  StepSpec spec{.mesh = {.data = layout.ranks},
                .microbatches = layout.rounds * layout.ranks,
                .prefetch = 1 + layout.rounds % 2,
                .recompute = layout.policy};
  spec.nodes.ranks_per_node = layout.messages ? 1 : 0;
  RunPrograms run = build_run(model, spec, {.validate = true});
  return plan_run(run, INT64_MAX).device;
}

// Transient bytes over their lower bound.
double quality(const ArenaPlan& plan) {
  return static_cast<double>(plan.peak_bytes - plan.states_bytes) /
         static_cast<double>(plan.lower_bound_bytes - plan.states_bytes);
}

constexpr Recompute policies[] = {Recompute::none, Recompute::attention, Recompute::mlp, Recompute::block};

bool is_common(const Layout& layout) {
  return layout.ranks == 2 && layout.rounds == 1 && layout.messages &&
         (layout.policy == Recompute::none || layout.policy == Recompute::block);
}

// Lines of JSON, with the keys of `plan --json`.
std::string row(const Golden& golden, const Layout& layout, const ArenaPlan& plan) {
  nlohmann::ordered_json json = {{"model", golden.name},
                                 {"ranks", layout.ranks},
                                 {"rounds", layout.rounds},
                                 {"recompute", name(layout.policy)},
                                 {"messages", layout.messages},
                                 {"peak_bytes", plan.peak_bytes},
                                 {"lower_bound_bytes", plan.lower_bound_bytes},
                                 {"states_bytes", plan.states_bytes}};
  return json.dump();
}

// What a plan may not be worse than: no larger lower bound, an arena within 0.5%, the same states.
void check_kept(const ArenaPlan& plan, const std::string& kept) {
  const auto golden = nlohmann::json::parse(kept);
  CHECK(plan.lower_bound_bytes <= golden["lower_bound_bytes"].get<Bytes>());
  CHECK(static_cast<double>(plan.peak_bytes) <= 1.005 * golden["peak_bytes"].get<double>());
  CHECK(plan.states_bytes == golden["states_bytes"].get<Bytes>());
}

}  // namespace

TEST_CASE(
    "plan_memory: for real models the transient peak is within 1% of its lower bound in 98 of 100 layouts, never above "
    "2%, and in common ones always within 1%; and no plan is worse than the one that is kept") {
  std::ifstream file(TRIREME_GOLDEN_PLANS);
  const char* const written =
      std::getenv("TRIREME_WRITE_GOLDEN_PLANS");  // a path: what the file must hold after a change
  std::ofstream out(written ? written : "/dev/null");
  int layouts = 0, near = 0;
  for (const Golden& golden : goldens)
    for (const int ranks : {1, 2, 3, 8})
      for (const Recompute policy : policies)
        for (const int rounds : {1, 3})
          for (const bool messages : {false, true}) {
            const Layout layout{ranks, rounds, policy, messages};
            const ArenaPlan plan = plan_of(golden, layout);
            const double ratio = quality(plan);
            CAPTURE(row(golden, layout, plan), ratio);
            CHECK(ratio <= (is_common(layout) ? 1.01 : 1.02));
            ++layouts;
            near += ratio <= 1.01;
            out << row(golden, layout, plan) << '\n';
            std::string kept;
            if (written) continue;
            REQUIRE(std::getline(file, kept));
            CAPTURE(kept);
            check_kept(plan, kept);
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
