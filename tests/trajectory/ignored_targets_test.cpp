// Targets that do not count: in loss, gradient and count of tokens alike.

#include <catch2/catch.hpp>

#include <cmath>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 3;

// The same targets as ignore_some_targets() takes out, by value or by weight alone.
void ignore_by_value(std::int64_t step, int microbatch, Batch batch) {
  ignore_some_targets(step, microbatch, batch);
  for (Elems n = 0; n < batch.token_count(); ++n) {
    if (batch.weights.as<float>()[n] == 0) batch.targets.as<std::int32_t>()[n] = -1;
    batch.weights.as<float>()[n] = 1;
  }
}
void ignore_by_weight(std::int64_t step, int microbatch, Batch batch) {
  ignore_some_targets(step, microbatch, batch);
  for (Elems n = 0; n < batch.token_count(); ++n) {
    if (batch.targets.as<std::int32_t>()[n] >= 0) continue;
    batch.targets.as<std::int32_t>()[n] = 1'000'000;  // no token at all
    batch.weights.as<float>()[n] = 0;
  }
}

TrainerSettings any_settings() {
  return tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
}

}  // namespace

TEST_CASE("a target below 0 and a weight of 0 are one thing") {
  const TrainerSettings settings = any_settings();
  const LocalResult expected = train_locally(settings, {.ranks = 2, .edit_batch = ignore_some_targets}, steps);
  for (const BatchSource& same : {BatchSource(ignore_by_value), BatchSource(ignore_by_weight)}) {
    const LocalResult got = train_locally(settings, {.ranks = 3, .edit_batch = same}, steps);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
    CHECK(got.steps.back().loss == expected.steps.back().loss);
  }
  CHECK(train_locally(settings, {}, steps).weights != expected.weights);
}

TEST_CASE("the loss is the mean over the targets that count, and every rank knows how many") {
  TrainerSettings settings = any_settings();
  settings.global_batch = 3 * settings.micro_batch;
  const auto only = [&](int wanted) {
    return [=](std::int64_t, int microbatch, Batch batch) {
      for (Elems n = 0; n < batch.token_count(); ++n)
        if (wanted >= 0 && microbatch * batch.token_count() + n != wanted) batch.targets.as<std::int32_t>()[n] = -100;
    };
  };
  const int tokens = settings.global_batch * settings.sequence;
  const StepReport whole = train_locally(settings, {.ranks = 2, .edit_batch = only(-1)}, 1).steps[0];
  CHECK(whole.valid_tokens == tokens);
  double sum = 0;
  for (int token = 0; token < tokens; ++token) {
    const StepReport one = train_locally(settings, {.ranks = 2, .edit_batch = only(token)}, 1).steps[0];
    REQUIRE(one.valid_tokens == 1);
    sum += one.loss;
  }
  CHECK(whole.loss == Approx(sum / tokens).epsilon(1e-12));
}

TEST_CASE("a step without a target that counts changes nothing, and says that there was none") {
  const TrainerSettings settings = any_settings();
  const auto none_in_step_1 = [](std::int64_t step, int, Batch batch) {
    for (Elems n = 0; n < batch.token_count(); ++n)
      if (step == 1) batch.targets.as<std::int32_t>()[n] = -100;
  };
  const LocalResult one = train_locally(settings, {.ranks = 2}, 1);
  const LocalResult two = train_locally(settings, {.ranks = 2, .edit_batch = none_in_step_1}, 2);
  CHECK(two.steps[1].valid_tokens == 0);
  CHECK_FALSE(two.steps[1].applied);
  CHECK(std::isnan(two.steps[1].loss));
  CHECK(two.steps[1].gradient_norm == 0);
  CHECK(two.weights == one.weights);
  CHECK(two.state == one.state);
  CHECK(train_locally(settings, {.ranks = 2, .edit_batch = none_in_step_1}, 3).steps[2].applied);
}
