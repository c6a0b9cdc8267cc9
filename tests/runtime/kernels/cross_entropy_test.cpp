#include "runtime/kernels/cross_entropy.h"

#include "runtime/kernels/argmax.h"
#include "tests/reference/tolerance.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

using reference::Bounded;

void check(DType type, Elems rows, Elems vocabulary, Elems padded) {
  CAPTURE(name(type), rows, vocabulary, padded);
  GuardedTensor logits(type, rows, padded, 3), targets(DType::i32, rows), weights(DType::f32, rows), losses(DType::f32, rows);
  logits.randomize(3, 4);
  for (Elems n = 0; n < rows; ++n) {
    targets.set(n, static_cast<double>(n % 5 == 4 ? -100 : (n * 31) % vocabulary));
    weights.set(n, n % 7 == 6 ? 0 : 1);
  }
  const float scale = 0.125f;
  const GuardedTensor before = logits;
  std::vector<Bounded> loss, gradient;
  for (Elems n = 0; n < rows; ++n) {
    const bool counts = n % 5 != 4 && n % 7 != 6;
    double top = -1e300, total = 0;
    for (Elems v = 0; v < vocabulary; ++v) top = std::max(top, before.at(n, v));
    double worst = 0;
    for (Elems v = 0; v < vocabulary; ++v) {
      total += std::exp(before.at(n, v) - top);
      worst = std::max(worst, reference::exp_error(before.at(n, v) - top));
    }
    const double sum_error = worst + reference::lane_sum_roundings(vocabulary) * reference::f32_error;
    const Elems target = counts ? static_cast<Elems>(targets.at(n)) : 0;
    loss.push_back(counts ? Bounded{std::log(total) + top - before.at(n, target), sum_error} : Bounded{});
    for (Elems v = 0; v < padded; ++v) {
      if (!counts || v >= vocabulary) {
        gradient.push_back({});
        continue;
      }
      const double p = std::exp(before.at(n, v) - top) / total, own = v == target ? 1 : 0;
      const double error = p * (reference::exp_error(before.at(n, v) - top) + sum_error + 4 * reference::f32_error) +
                           own * 2 * reference::f32_error;
      gradient.push_back({scale * (p - own), scale * error});
    }
  }
  const auto run = [&](bool backward) {
    cross_entropy({.logits = logits, .vocabulary = vocabulary, .targets = targets, .weights = weights, .losses = losses,
                   .scale = scale, .backward = backward});
  };
  run_every_way({&logits, &losses}, [&] { run(true); });
  reference::require_close(losses.values(), loss, DType::f32);
  reference::require_close(logits.values(), gradient, type);
  const GuardedTensor with_gradient = losses;
  logits = before;
  run_every_way({&logits, &losses}, [&] { run(false); });
  CHECK(logits.bytes() == before.bytes());
  CHECK(losses.bytes() == with_gradient.bytes());
}

}  // namespace

TEST_CASE("cross_entropy: loss and gradient equal double precision, the same bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems rows : {1, 2, 13})
      for (Elems vocabulary : {1, 2, 15, 16, 17, 127, 307}) check(type, rows, vocabulary, align_up(vocabulary, 128));
}

TEST_CASE("cross_entropy: a logit that is not finite shows in the loss", "[kernels]") {
  GuardedTensor logits(DType::f32, 1, 128), targets(DType::i32, 1), weights(DType::f32, 1), losses(DType::f32, 1);
  for (double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    logits.randomize(1);
    logits.set(0, 17, bad);
    targets.set(0, 3);
    weights.set(0, 1);
    cross_entropy({.logits = logits, .vocabulary = 100, .targets = targets, .weights = weights, .losses = losses});
    CHECK(!std::isfinite(losses.at(0)));
  }
}

TEST_CASE("cross_entropy: a target outside the vocabulary is refused", "[kernels]") {
  GuardedTensor logits(DType::f32, 1, 128), targets(DType::i32, 1), weights(DType::f32, 1), losses(DType::f32, 1);
  logits.randomize(1);
  targets.set(0, 100);
  weights.set(0, 1);
  CHECK_THROWS_AS(cross_entropy({.logits = logits, .vocabulary = 100, .targets = targets, .weights = weights, .losses = losses}), Error);
}

TEST_CASE("argmax: the first of the largest, within the vocabulary, and never NaN", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32}) {
    GuardedTensor logits(type, 1, 128), index(DType::i32, 1);
    logits.randomize(5);
    logits.set(0, 0, std::nan(""));
    logits.set(0, 40, 9);
    logits.set(0, 60, 9);
    logits.set(0, 120, 99);
    argmax({.logits = logits, .vocabulary = 100, .index = index});
    CHECK(index.at(0) == 40);
  }
}

}  // namespace trireme
