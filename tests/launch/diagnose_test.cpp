// A step that is not finite: its updates do nothing, and a second run names what was not finite first.

#include <catch2/catch.hpp>

#include <limits>

#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

/// Puts an infinity into what an op of `kind` leaves, on one rank, for one unit and segment.
struct Fault {
  OpKind kind = OpKind::forward;
  int rank = 0, unit = 0, segment = 0;
  Slot slot = Slot::out;
};

std::function<void(OpTable&, int)> plant(const Fault& fault) {
  return [=](OpTable& table, int rank) {
    if (rank != fault.rank) return;
    const Handler handler = table.find(fault.kind);
    table.set(fault.kind, [=](const OpContext& context) {
      handler(context);
      const Op& op = context.op();
      if (op.unit != fault.unit || op.segment != fault.segment) return;
      const View view = context.view(fault.slot);
      if (view.type == DType::bf16) static_cast<std::uint16_t*>(view.data)[5] = 0x7f80;
      if (view.type == DType::f32) view.as<float>()[5] = std::numeric_limits<float>::infinity();
    });
  };
}

LocalResult train(TrainerSettings settings, const Fault& fault, int ranks) {
  return train_locally(settings, {.ranks = ranks, .edit_table = plant(fault)}, 1);
}

}  // namespace

TEST_CASE("diagnose: it names the first op, unit and tensor that is not finite, on the rank that has it") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.spec.recompute = GENERATE(Recompute::none, Recompute::block);
  for (const int zero : {0, 1, 3}) {
    CAPTURE(zero, name(settings.spec.recompute));
    settings.spec.zero = zero;
    LocalResult got = train(settings, {OpKind::forward, 1, 2, 1, Slot::out}, 3);
    REQUIRE(got.diagnoses.size() == 3);
    CHECK(!got.steps.back().applied);
    // What forward leaves is not what recompute leaves.
    CAPTURE(got.diagnoses[0].text, got.diagnoses[1].text);
    CHECK(got.diagnoses[1].text.find("activations x2.1.0, element 5 of block1 (forward unit 2") == 0);
    CHECK(got.diagnoses[1].text.find("segment mlp, microbatch 1") != std::string::npos);
    // Other ranks see it in the sums alone.
    CHECK((got.diagnoses[0].op < 0 || got.diagnoses[0].op > got.diagnoses[1].op));

    got = train(settings, {OpKind::backward, 0, 1, 0, Slot::gradient}, 2);
    CHECK(got.diagnoses[0].text.find(
              "the gradient of blocks.0.attention.norm.weight, element 5 of block0 (backward unit 1") == 0);
  }
}

TEST_CASE("diagnose: a parameter that is not finite is named where it is gathered") {
  const TrainerSettings settings = tiny_settings(Family::llama, DType::f32, DType::f32);
  const auto plant_parameter = [](OpTable& table, int rank) {
    if (rank != 1) return;
    const Handler init = table.find(OpKind::init);
    table.set(OpKind::init, [=](const OpContext& context) {
      init(context);
      if (context.op().unit == 2) context.view(Slot::master).as<float>()[100] = std::numeric_limits<float>::quiet_NaN();
    });
  };
  const LocalResult got = train_locally(settings, {.ranks = 2, .edit_table = plant_parameter}, 1);
  REQUIRE(got.diagnoses.size() == 2);
  for (const Diagnosis& diagnosis : got.diagnoses) {
    CHECK(diagnosis.text.find("parameter blocks.1.") == 0);
    CHECK(diagnosis.text.find("of block1 (gather unit 2") != std::string::npos);
  }
}

TEST_CASE("diagnose: a step that is not applied leaves masters and states as they were") {
  const TrainerSettings settings = tiny_settings(Family::gpt2, DType::bf16, DType::bf16);
  const LocalResult before = train_locally(settings, {.ranks = 2}, 0);
  const LocalResult got = train(settings, {OpKind::backward, 1, 2, 0, Slot::gradient}, 2);
  CHECK(got.weights == before.weights);
  CHECK(got.state == before.state);
}
