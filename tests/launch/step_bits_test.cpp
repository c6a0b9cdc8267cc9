// One trajectory: the same bits however a run is laid out, and other bits where its mathematics is changed.

#include <catch2/catch.hpp>

#include <cmath>

#include "runtime/kernels/cpu/isa.h"
#include "tests/launch/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr int steps = 3;

/// One way to lay out a run.
struct Layout {
  int ranks, threads, prefetch;
  Recompute recompute;
};

// Every pair of values of two columns stands in one row.
const Layout covering_layouts[] = {
    {1, 2, 0, Recompute::block},     {2, 1, 1, Recompute::none},      {3, 4, 2, Recompute::attention},
    {4, 1, 3, Recompute::mlp},       {5, 2, 0, Recompute::none},      {7, 1, 2, Recompute::block},
    {8, 1, 1, Recompute::attention}, {1, 4, 3, Recompute::attention}, {2, 2, 2, Recompute::mlp},
    {3, 1, 0, Recompute::mlp},       {4, 4, 1, Recompute::block},     {5, 4, 3, Recompute::block},
    {7, 2, 1, Recompute::mlp},       {8, 2, 3, Recompute::none},      {2, 4, 0, Recompute::attention},
    {3, 2, 3, Recompute::none},      {1, 1, 2, Recompute::none},      {5, 1, 1, Recompute::attention},
};

TrainerSettings laid_out(TrainerSettings settings, const Layout& layout) {
  settings.threads = layout.threads;
  settings.prefetch = layout.prefetch;
  settings.recompute = layout.recompute;
  return settings;
}

void check_layouts(const TrainerSettings& settings) {
  const LocalResult expected = train_locally(settings, {}, steps);
  // Better than chance after a few steps: the targets follow the tokens.
  REQUIRE(expected.steps.back().loss < std::log(static_cast<double>(settings.model.vocab)));
  for (const Layout& layout : covering_layouts) {
    CAPTURE(layout.ranks, layout.threads, layout.prefetch, name(layout.recompute));
    const LocalResult got = train_locally(laid_out(settings, layout), {.ranks = layout.ranks}, steps);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
    CHECK(got.steps.back().loss == expected.steps.back().loss);
    CHECK(got.steps.back().gradient_norm == expected.steps.back().gradient_norm);
  }
}

}  // namespace

TEST_CASE("a run has the same bits in every layout") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const DType type = GENERATE(DType::bf16, DType::f32);
  CAPTURE(family == Family::gpt2, name(type));
  check_layouts(tiny_settings(family, type, type));
}

TEST_CASE("an untied head has the same bits in every layout") {
  TrainerSettings settings = tiny_settings(Family::llama, DType::bf16, DType::bf16);
  settings.model.tied = false;
  check_layouts(settings);
}

TEST_CASE("a run whose products add in the tiles order has the same bits in every layout, and bits of its own") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  const LocalResult chain = train_locally(settings, {}, steps);
  settings.products = ProductOrder::tiles;
  CHECK(train_locally(settings, {}, steps).weights != chain.weights);
  check_layouts(settings);
}

TEST_CASE("a run has the same bits on every instruction set") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.products = GENERATE(ProductOrder::chain, ProductOrder::tiles);
  const LocalResult expected = train_locally(settings, {}, steps);
  for (cpu::Isa isa : cpu::all_isas) {
    if (isa < cpu::detect_isa()) continue;  // this machine has not got it
    CAPTURE(cpu::name(isa));
    cpu::select_isa(isa);
    const LocalResult got = train_locally(settings, {.ranks = 2}, steps);
    cpu::select_isa(cpu::detect_isa());
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
  }
}

TEST_CASE("a run has the same bits under the checked device") {
  const TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  const LocalResult expected = train_locally(settings, {}, steps);
  for (int seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    const Layout& layout = covering_layouts[seed];
    const LocalResult got = train_locally(laid_out(settings, layout), {.ranks = layout.ranks, .checked_seed = seed}, steps);
    CHECK(got.weights == expected.weights);
    CHECK(got.state == expected.state);
  }
}
