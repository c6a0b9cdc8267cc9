// A hundred seeds of delays on the checked device: every hidden race has a hundred chances to show.

#include <catch2/catch.hpp>

#include "tests/launch/local_run.h"

using namespace trireme;
using namespace trireme::test;

TEST_CASE("a run has the same bits under the checked device with 100 seeds of delay") {
  const Recompute policies[] = {Recompute::none, Recompute::attention, Recompute::mlp, Recompute::block};
  for (const Family family : {Family::gpt2, Family::llama}) {
    TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
    const LocalResult expected = train_locally(settings, {}, 2);
    for (int seed = 0; seed < 50; ++seed) {
      CAPTURE(family == Family::gpt2, seed);
      settings.prefetch = seed % 4;
      settings.recompute = policies[seed / 4 % 4];
      const LocalResult got = train_locally(settings, {.ranks = 1 + seed % 8, .checked_seed = 1000 + seed}, 2);
      CHECK(got.weights == expected.weights);
      CHECK(got.state == expected.state);
    }
  }
}
