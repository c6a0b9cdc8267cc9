// A hundred seeds of delays on the checked device: every hidden race has a hundred chances to show.

#include <catch2/catch.hpp>

#include <random>

#include "tests/trajectory/covering_layouts.h"

using namespace trireme;
using namespace trireme::test;

namespace {

// Drawn one by one: no two columns may go in step with each other, as remainders of one seed would.
Layout random_layout(std::mt19937& random) {
  const auto below = [&](int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random); };
  Layout layout;
  layout.ranks = 1 + below(8);
  layout.threads = 1 + below(2);
  layout.prefetch = below(4);
  layout.recompute = static_cast<Recompute>(below(4));
  layout.isa = cpu::detect_isa();
  return layout;
}

}  // namespace

TEST_CASE("a run has the same bits under the checked device with 100 seeds of delay") {
  for (const Family family : {Family::gpt2, Family::llama}) {
    const TrainerSettings settings = tiny_settings(family, DType::bf16, DType::bf16);
    const LocalResult expected = train_locally(settings, {}, 2);
    for (int seed = 0; seed < 100; ++seed) {
      std::mt19937 random(static_cast<std::uint32_t>(1000 + seed));
      const Layout layout = random_layout(random);
      CAPTURE(family == Family::gpt2, seed, layout.ranks, layout.threads, layout.prefetch, name(layout.recompute));
      const LocalResult got = train_laid_out(settings, layout, 2, 1000 + seed);
      CHECK(got.weights == expected.weights);
      CHECK(got.state == expected.state);
    }
  }
}
