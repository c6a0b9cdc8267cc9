// Groups of microbatches: a trajectory of their own for every size of group, each the same in every layout.

#include <catch2/catch.hpp>

#include <set>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 2;

LocalResult train(TrainerSettings settings, int sum_group, int ranks, int prefetch = 1,
                  Recompute policy = Recompute::none) {
  settings.spec.sum_group = sum_group;
  settings.spec.prefetch = prefetch;
  settings.spec.recompute = policy;
  return train_locally(settings, {.ranks = ranks}, steps);
}

}  // namespace

TEST_CASE("sum_group: every size of group has bits of its own, the same on any number of ranks") {
  const TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  std::set<std::uint64_t> trajectories;
  for (const int sum_group : {1, 2, 3, 4, 13, 20}) {
    CAPTURE(sum_group);
    const LocalResult expected = train(settings, sum_group, 1);
    trajectories.insert(expected.weights);
    // 13 microbatches: whole groups on few ranks, groups that span ranks and rounds on many.
    for (const int ranks : {2, 3, 5, 7, 8}) {
      CAPTURE(ranks);
      const LocalResult got = train(settings, sum_group, ranks, ranks % 4, static_cast<Recompute>(ranks % 4));
      CHECK(got.weights == expected.weights);
      CHECK(got.state == expected.state);
    }
  }
  // One group of all thirteen is the same sum as a longer one that is not filled.
  CHECK(trajectories.size() == 5);
}

TEST_CASE("sum_group: with gradients of f32 the sum of one group of all microbatches is that without groups") {
  const TrainerSettings settings = tiny_settings(Family::llama, DType::f32, DType::f32);
  CHECK(train(settings, 13, 3).weights == train(settings, 1, 2).weights);
}
