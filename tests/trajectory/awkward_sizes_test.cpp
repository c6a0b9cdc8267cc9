// Whole steps where sizes are smallest, odd or do not divide: the same bits on any number of ranks, under the checked
// device.

#include <catch2/catch.hpp>

#include <cmath>
#include <string>

#include "tests/support/local_run.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 2;

TrainerSettings small_settings(Family family, DType compute = DType::bf16, DType wire = DType::bf16) {
  TrainerSettings settings = tiny_settings(family, compute, wire);
  settings.model.layers = 1;
  settings.global_batch = 5 * settings.micro_batch;
  return settings;
}

// Returns the run on one rank.
LocalResult check_ranks(const TrainerSettings& settings, std::initializer_list<int> all_ranks = {2, 3, 5},
                        const BatchSource& edit_batch = {}) {
  const LocalResult expected = train_locally(settings, {.edit_batch = edit_batch}, steps);
  REQUIRE(std::isfinite(expected.steps.back().loss));
  REQUIRE(expected.steps.back().applied);
  for (const int ranks : all_ranks) {
    if (is_sanitized && ranks != *(all_ranks.end() - 1)) continue;
    CAPTURE(ranks);
    const LocalResult got =
        train_locally(settings, {.ranks = ranks, .checked_seed = ranks, .edit_batch = edit_batch}, steps);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
    CHECK(got.steps.back().loss == expected.steps.back().loss);
    CHECK(got.valid_losses == expected.valid_losses);
  }
  return expected;
}

}  // namespace

TEST_CASE("one token per microbatch") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  settings.sequence = settings.micro_batch = 1;
  settings.global_batch = 5;
  check_ranks(settings);
}

TEST_CASE("a width of 2, and one of 3 heads") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  settings.model.width = 2;
  settings.model.heads = settings.model.kv_heads = 1;
  settings.model.ffn = 3;
  SECTION("width 2") { check_ranks(settings); }
  SECTION("3 heads of 2") {
    settings.model.width = 6;
    settings.model.heads = settings.model.kv_heads = 3;
    check_ranks(settings);
  }
}

TEST_CASE("heads of 1, 3 and 7 channels, where there is no RoPE") {
  TrainerSettings settings = small_settings(Family::gpt2, DType::bf16, DType::bf16);
  const int head = GENERATE(1, 3, 7);
  CAPTURE(head);
  settings.model.heads = settings.model.kv_heads = 3;
  settings.model.width = 3 * head;
  check_ranks(settings);
}

TEST_CASE("heads of 30 channels, a prime vocabulary and sequences of 40, in every type and order of sums") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const TrainerSettings exact = odd_settings(family, DType::f32, DType::f32);
  const BatchSource documents = GENERATE(false, true) ? cut_into_documents(exact.sequence) : BatchSource();
  const LocalResult expected = check_ranks(exact, {2, 5}, documents);
  for (const ProductOrder order : {ProductOrder::chain, ProductOrder::tiles}) {
    TrainerSettings settings = odd_settings(family, DType::bf16, DType::bf16);
    settings.products = order;
    const LocalResult got = check_ranks(settings, {3}, documents);
    // Weights and activations of 8 bits: a loss of ln 307 within a part in 2^8.
    for (std::size_t s = 0; s < steps; ++s)
      CHECK(got.steps[s].loss == Approx(expected.steps[s].loss).epsilon(1.0 / 256));
  }
}

TEST_CASE("a vocabulary of a few tokens, of a prime, and around a multiple of 128") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  settings.model.vocab = GENERATE(5, 127, 128, 129, 307);
  CAPTURE(settings.model.vocab);
  check_ranks(settings, {3});
}

TEST_CASE("more positions than the padded vocabulary has rows") {
  TrainerSettings settings = small_settings(Family::gpt2);
  settings.model.vocab = 100;
  settings.model.context = 300;
  settings.sequence = GENERATE(17, 300);
  check_ranks(settings);
}

TEST_CASE("more ranks than a unit has blocks of parameters") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  settings.model.width = 8;
  settings.model.ffn = 8;
  settings.global_batch = 11 * settings.micro_batch;
  check_ranks(settings, {9});
}

TEST_CASE("prefetch of more uses than a step has") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  settings.global_batch = settings.micro_batch;
  settings.spec.prefetch = GENERATE(4, 50);
  settings.validate = true;
  check_ranks(settings);
}

TEST_CASE("compute and wire of different types") {
  const bool wide_wire = GENERATE(true, false);
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama), wide_wire ? DType::bf16 : DType::f32,
                                            wide_wire ? DType::f32 : DType::bf16);
  CAPTURE(wide_wire);
  check_ranks(settings);
}

TEST_CASE("more ranks than microbatches, with validation") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  settings.global_batch = 2 * settings.micro_batch;
  settings.validate = true;
  settings.spec.prefetch = GENERATE(0, 1, 3);
  CAPTURE(settings.spec.prefetch);
  check_ranks(settings);
}

TEST_CASE("validation is the same on any number of ranks, and changes nothing") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  const LocalResult without = train_locally(settings, {}, steps);
  settings.validate = true;
  check_ranks(settings);
  CHECK(train_locally(settings, {.ranks = 2}, steps).weights == without.weights);
}
