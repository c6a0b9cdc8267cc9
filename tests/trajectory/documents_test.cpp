// Documents in whole runs: each is as if it stood alone.

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 2, document_tokens = 6;

TrainerSettings settings_of(Family family, int documents_of_a_sequence) {
  TrainerSettings settings = tiny_settings(family, DType::f32, DType::f32);
  settings.sequence = documents_of_a_sequence * document_tokens;
  settings.micro_batch = 4 / documents_of_a_sequence;
  settings.global_batch = 3 * settings.micro_batch;
  return settings;
}

std::int32_t token(std::int64_t step, std::int64_t number) {
  return static_cast<std::int32_t>((number * number + 3 * step) % 97);
}

// The same tokens however many documents a sequence holds.
BatchSource documents(int of_a_sequence) {
  return [=](std::int64_t step, int microbatch, Batch batch) {
    const std::int64_t first = microbatch * batch.token_count();
    for (Elems n = 0; n < batch.token_count(); ++n) {
      batch.tokens.as<std::int32_t>()[n] = token(step, first + n);
      batch.targets.as<std::int32_t>()[n] = token(step, first + n + 1);
      const Elems place = n % (of_a_sequence * document_tokens);
      batch.document_starts.as<std::int32_t>()[n] =
          static_cast<std::int32_t>(place / document_tokens * document_tokens);
    }
  };
}

void one_document(std::int64_t, int, Batch batch) {
  std::fill_n(batch.document_starts.as<std::int32_t>(), batch.token_count(), 0);
}

}  // namespace

TEST_CASE("documents that share a sequence train as sequences of their own do") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const LocalResult alone = train_locally(settings_of(family, 1), {.ranks = 2, .edit_batch = documents(1)}, steps);
  for (const int shared : {2, 4}) {
    const LocalResult packed =
        train_locally(settings_of(family, shared), {.ranks = 2, .edit_batch = documents(shared)}, steps);
    for (std::size_t s = 0; s < steps; ++s) {
      // The same sums in f32 in other blocks.
      CHECK(packed.steps[s].loss == Approx(alone.steps[s].loss).epsilon(1e-5));
      CHECK(packed.steps[s].gradient_norm == Approx(alone.steps[s].gradient_norm).epsilon(1e-4));
    }
  }
}

TEST_CASE("one document in each sequence is a run without documents, bit by bit") {
  const TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  const LocalResult plain = train_locally(settings, {.ranks = 2}, steps);
  const LocalResult whole = train_locally(settings, {.ranks = 3, .edit_batch = one_document}, steps);
  CHECK(whole.weights == plain.weights);
  CHECK(whole.state == plain.state);
  CHECK(train_locally(settings, {.edit_batch = cut_into_documents(settings.sequence)}, steps).weights != plain.weights);
}
