// Whole steps that are small enough for every sanitizer.

#include <catch2/catch.hpp>

#include <map>
#include <string>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;
using Catch::Contains;

namespace {

TrainerSettings small_settings(Family family) {
  TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
  settings.model.layers = 1;
  settings.global_batch = 5 * settings.micro_batch;
  return settings;
}

}  // namespace

TEST_CASE("small runs have the same bits on 1, 2 and 3 ranks, with recompute and any prefetch") {
  TrainerSettings settings = small_settings(GENERATE(Family::gpt2, Family::llama));
  const LocalResult expected = train_locally(settings, {}, 2);
  for (int ranks : {2, 3}) {
    settings.spec.recompute = ranks == 2 ? Recompute::block : Recompute::attention;
    settings.spec.prefetch = ranks;
    const LocalResult got = train_locally(settings, {.ranks = ranks, .checked_seed = ranks}, 2);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
  }
}

TEST_CASE("an op that fails names itself and ends all ranks") {
  const TrainerSettings settings = small_settings(Family::llama);
  const auto edit = [](OpTable& table, int rank) {
    const Handler backward = table.find(OpKind::backward);
    table.set(OpKind::backward, [=](const OpContext& context) {
      require(rank != 1 || context.op().unit != 1, ErrorKind::device, "planted");
      backward(context);
    });
  };
  std::map<int, std::string> errors;
  const auto keep = [&](int rank, const std::string& message) { errors[rank] = message; };
  CHECK_THROWS_AS(train_locally(settings, {.ranks = 3, .edit_table = edit, .on_error = keep}, 1), Error);
  REQUIRE(errors.size() == 3);
  CHECK_THAT(errors[1], Contains("backward unit 1") && Contains("planted"));
  for (const int woken : {0, 2}) CHECK_THAT(errors[woken], Contains("the run was aborted") && !Contains("planted"));
}
