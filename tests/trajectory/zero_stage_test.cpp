// ZeRO stages are layouts: the same bits in every one, on any number of ranks.

#include <catch2/catch.hpp>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 3;

void check_stages(TrainerSettings settings) {
  const LocalResult expected = train_locally(settings, {.ranks = 1}, steps);
  for (const int zero : {0, 1, 2, 3})
    for (const int ranks : {1, 2, 3, 4, 6}) {
      CAPTURE(zero, ranks);
      settings.spec.zero = zero;
      settings.spec.prefetch = (ranks + zero) % 4;
      settings.spec.recompute = static_cast<Recompute>((ranks + 2 * zero) % 4);
      settings.validate = true;
      const LocalResult got = train_locally(settings, {.ranks = ranks, .checked_seed = ranks == 3 ? zero : -1}, steps);
      CHECK(got.weights == expected.weights);
      CHECK(got.state == expected.state);
      CHECK(got.steps.back().loss == expected.steps.back().loss);
      CHECK(got.steps.back().gradient_norm == expected.steps.back().gradient_norm);
    }
}

}  // namespace

TEST_CASE("zero_stage: stages 0 to 3 have the same bits on any number of ranks") {
  check_stages(tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16));
}

TEST_CASE("node_shard: node-local gathering has the same bits as none") {
  TrainerSettings settings =
      tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, GENERATE(DType::bf16, DType::f32));
  settings.spec.compute = settings.spec.wire;
  const LocalResult expected = train_locally(settings, {.ranks = 1}, steps);
  settings.validate = true;
  for (const auto& [ranks, node_ranks] : {std::pair(1, 1), {2, 1}, {2, 2}, {4, 2}, {6, 2}, {6, 3}, {8, 4}}) {
    CAPTURE(ranks, node_ranks);
    settings.spec.node_ranks = node_ranks;
    settings.spec.prefetch = ranks % 4;
    settings.spec.recompute = static_cast<Recompute>(node_ranks % 4);
    settings.spec.sum_group = 1;
    const LocalResult got = train_locally(settings, {.ranks = ranks, .checked_seed = ranks == 4 ? 1 : -1}, steps);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
    CHECK(got.steps.back().loss == expected.steps.back().loss);
  }
}

TEST_CASE("zero_stage: stages 0 to 3 have the same bits where compute and wire are f32") {
  check_stages(tiny_settings(Family::gpt2, DType::f32, DType::f32));
}

TEST_CASE("zero_stage: stages 0 to 3 have the same bits with groups of microbatches and an untied head") {
  TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
  settings.model.tied = false;
  settings.spec.sum_group = GENERATE(2, 4);
  check_stages(settings);
}
