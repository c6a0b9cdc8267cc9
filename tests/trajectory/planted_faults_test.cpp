// Faults that the hashes must notice: each changes the order or the rounding of one sum (design 4.9).

#include <catch2/catch.hpp>

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "runtime/kernels/ordered_add.h"
#include "tests/support/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

// Hash of the accumulators before the norm, of one rank.
struct GradientHash {
  std::uint64_t value = 0;

  std::function<void(OpTable&, int)> tap() {
    return [this](OpTable& table, int) {
      const Handler square_sum = table.find(OpKind::square_sum);
      table.set(OpKind::square_sum, [this, square_sum](const OpContext& context) {
        const View sum = context.view(Slot::accumulator);
        value = XXH3_64bits_withSeed(sum.data, static_cast<std::size_t>(sum.bytes()), value);
        square_sum(context);
      });
    };
  }
};

// All gradients of a step on one rank that owns all, kept so that a test can add them up itself.
void keep_reduces(OpTable& table, const std::function<void(const OpContext&, const Handler&)>& run) {
  const Handler reduce = table.find(OpKind::reduce);
  table.set(OpKind::reduce, [=](const OpContext& context) { run(context, reduce); });
}

float to_wire(float sum) { return to_f32(to_bf16(sum)); }
float as_it_is(float sum) { return sum; }

// On one rank reduces add f32 sums of groups, `rounded` here, instead of what `round` made of them.
std::function<void(OpTable&, int)> reduce_chains(float (*rounded)(float)) {
  return [rounded](OpTable& table, int) {
    struct Chains {
      std::mutex mutex;  // rounds and reduces run on two streams
      std::map<BufferId, std::vector<float>> by_gradient;
    };
    const auto chains = std::make_shared<Chains>();
    const Handler round = table.find(OpKind::round);
    table.set(OpKind::round, [=](const OpContext& context) {
      const View chain = context.view(Slot::chain);
      std::vector<float> sums(chain.as<float>(), chain.as<float>() + chain.elems());
      std::transform(sums.begin(), sums.end(), sums.begin(), rounded);
      round(context);
      const std::lock_guard lock(chains->mutex);
      chains->by_gradient[context.op().at(Slot::gradient)] = std::move(sums);
    });
    table.set(OpKind::reduce, [=](const OpContext& context) {
      const std::lock_guard lock(chains->mutex);
      const std::vector<float>& sums = chains->by_gradient.at(context.op().at(Slot::gradient));
      const ConstView piece(sums.data(), DType::f32, static_cast<Elems>(sums.size()));
      ordered_add({.accumulator = context.view(Slot::accumulator),
                   .pieces = {&piece, 1},
                   .store_first = !context.op().find(Slot::accumulator)->reads()});
    });
  };
}

}  // namespace

TEST_CASE("two contributions swapped change the weights") {
  TrainerSettings settings = tiny_settings(Family::gpt2, DType::f32, DType::f32);
  const LocalResult expected = train_locally(settings, {}, 1);
  // On one rank every round adds one microbatch: rounds 3 and 4 of every unit are exchanged by keeping the third
  // contribution back and adding it behind the fourth.
  const auto edit = [](OpTable& table, int) {
    auto held = std::make_shared<std::map<std::int32_t, std::vector<float>>>();
    keep_reduces(table, [held](const OpContext& context, const Handler& reduce) {
      const Op& op = context.op();
      const std::int32_t key = op.at(Slot::accumulator);
      const View gradient = context.view(Slot::gradient);
      if (op.microbatch == 2) {
        (*held)[key].assign(gradient.as<float>(), gradient.as<float>() + gradient.elems());
        return;
      }
      reduce(context);
      if (op.microbatch != 3) return;
      const ConstView late(held->at(key).data(), DType::f32, gradient.elems());
      ordered_add({.accumulator = context.view(Slot::accumulator), .pieces = {&late, 1}, .store_first = false});
    });
  };
  CHECK(train_locally(settings, {.edit_table = edit}, 1).weights != expected.weights);
}

TEST_CASE("a sum of a group that is not rounded to the wire type changes the weights") {
  TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
  settings.spec.sum_group = 2;
  const LocalResult expected = train_locally(settings, {}, 1);
  CHECK(train_locally(settings, {.edit_table = reduce_chains(to_wire)}, 1).weights == expected.weights);
  CHECK(train_locally(settings, {.edit_table = reduce_chains(as_it_is)}, 1).weights != expected.weights);
}

TEST_CASE("a zero added to a contribution of -0 changes the gradients") {
  TrainerSettings settings = tiny_settings(Family::gpt2, DType::bf16, DType::bf16);
  settings.global_batch = settings.micro_batch;
  // One element of the first contribution is -0; it must arrive as -0.
  const auto plant = [](bool add_zero, GradientHash& hash) {
    return [add_zero, &hash](OpTable& table, int rank) {
      hash.tap()(table, rank);
      keep_reduces(table, [add_zero](const OpContext& context, const Handler& reduce) {
        const View gradient = context.view(Slot::gradient);
        gradient.as<bf16>()[0] = {0x8000};
        const View sum = context.view(Slot::accumulator);
        if (!add_zero) return reduce(context);
        std::memset(sum.data, 0, static_cast<std::size_t>(sum.bytes()));
        const ConstView piece = gradient;
        ordered_add({.accumulator = sum, .pieces = {&piece, 1}, .store_first = false});
      });
    };
  };
  GradientHash right, wrong;
  train_locally(settings, {.edit_table = plant(false, right)}, 1);
  train_locally(settings, {.edit_table = plant(true, wrong)}, 1);
  CHECK(right.value != wrong.value);
}
