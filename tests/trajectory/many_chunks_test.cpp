// Long microbatches: 4,096 tokens, four chunks of the head, chains that go on from chunk to chunk.

#include <catch2/catch.hpp>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

TEST_CASE("microbatches of 4,096 tokens have the same bits on 1, 2, 3 and 5 ranks") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const bool tied = GENERATE(true, false);
  TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
  settings.model.layers = 1;
  settings.model.width = 32;
  settings.model.ffn = 48;
  settings.model.context = 128;
  settings.model.tied = tied;
  settings.sequence = 128;
  settings.micro_batch = 32;
  settings.global_batch = 12 * settings.micro_batch;
  const LocalResult expected = train_locally(settings, {}, 1);
  for (int ranks : {2, 3, 5}) {
    settings.spec.recompute = ranks == 2 ? Recompute::block : Recompute::mlp;
    settings.threads = ranks == 3 ? 2 : 1;
    const LocalResult got = train_locally(settings, {.ranks = ranks}, 1);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
  }
}
