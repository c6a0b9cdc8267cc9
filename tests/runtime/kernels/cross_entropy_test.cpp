#include "runtime/kernels/cross_entropy.h"

#include "tests/reference/cross_entropy.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

using reference::Bounded;

/// Logits, targets and weights of a chunk: some tokens that do not count, some that count by a part.
struct Chunk {
  Chunk(DType type, Elems rows, Elems vocabulary_, double deviation)
      : vocabulary(vocabulary_),
        logits(type, rows, align_up(vocabulary, 128), 3),
        targets(DType::i32, rows),
        weights(DType::f32, rows),
        losses(DType::f32, rows) {
    logits.randomize(3, deviation);
    for (Elems n = 0; n < rows; ++n) {
      targets.set(n, static_cast<double>(n % 5 == 4 ? -100 : (n * 31) % vocabulary));
      weights.set(n, n % 7 == 6 ? 0 : n % 7 == 5 ? 0.375 : 1);
    }
  }
  void run(bool backward) {
    cross_entropy({.logits = logits,
                   .vocabulary = vocabulary,
                   .targets = targets,
                   .weights = weights,
                   .losses = losses,
                   .scale = scale,
                   .backward = backward});
  }

  float scale = 0.125f;
  Elems vocabulary;
  GuardedTensor logits, targets, weights, losses;
};

void check(DType type, Elems rows, Elems vocabulary, double deviation = 4) {
  CAPTURE(name(type), rows, vocabulary, deviation);
  Chunk chunk(type, rows, vocabulary, deviation);
  const GuardedTensor before = chunk.logits;
  std::vector<Bounded> loss, gradient;
  for (Elems n = 0; n < rows; ++n) {
    const bool counts = chunk.targets.at(n) >= 0 && chunk.weights.at(n) != 0;
    std::vector<double> row;
    for (Elems v = 0; v < vocabulary; ++v) row.push_back(before.at(n, v));
    reference::CrossEntropyRow expected{.gradient = std::vector<Bounded>(row.size())};
    if (counts)
      expected =
          reference::cross_entropy(row, static_cast<Elems>(chunk.targets.at(n)), chunk.weights.at(n), chunk.scale);
    expected.gradient.resize(static_cast<std::size_t>(chunk.logits.cols()));  // zero in padding
    loss.push_back(expected.loss);
    gradient.insert(gradient.end(), expected.gradient.begin(), expected.gradient.end());
  }
  run_every_way({&chunk.logits, &chunk.losses}, [&] { chunk.run(true); });
  reference::require_close(chunk.losses.values(), loss, DType::f32);
  reference::require_close(chunk.logits.values(), gradient, type);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    if (gradient[i].value == 0 && gradient[i].error == 0) REQUIRE(chunk.logits.at(static_cast<Elems>(i)) == 0);
  const GuardedTensor with_gradient = chunk.losses;
  chunk.logits = before;
  run_every_way({&chunk.logits, &chunk.losses}, [&] { chunk.run(false); });
  CHECK(chunk.logits.bytes() == before.bytes());
  CHECK(chunk.losses.bytes() == with_gradient.bytes());
}

}  // namespace

TEST_CASE("cross_entropy: loss and gradient equal double precision, the same bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32}) {
    for (Elems rows : {1, 2, 13})
      for (Elems vocabulary : {1, 2, 15, 16, 17, 127, 128, 307}) check(type, rows, vocabulary);
    for (Elems vocabulary : {1023, 1024, 1025, 4099}) check(type, 7, vocabulary);
  }
}

TEST_CASE("cross_entropy: logits far apart neither overflow nor lose the loss", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (double deviation : {1e-3, 30.0, 1e4, 1e30}) check(type, 9, 50, deviation);
}

TEST_CASE("cross_entropy: a row's bits do not depend on the chunk it stands in", "[kernels]") {
  cpu::set_float_mode();
  Chunk whole(DType::bf16, 13, 307, 4), parts(DType::bf16, 13, 307, 4);
  whole.run(true);
  for (Elems first : {0, 1, 6}) {
    const Elems rows = first == 0 ? 1 : first == 1 ? 5 : 7;
    cross_entropy({.logits = parts.logits.view().rows_from(first, rows),
                   .vocabulary = 307,
                   .targets = parts.targets.view().cols_from(first, rows),
                   .weights = parts.weights.view().cols_from(first, rows),
                   .losses = parts.losses.view().cols_from(first, rows),
                   .scale = parts.scale,
                   .backward = true});
  }
  CHECK(parts.logits.bytes() == whole.logits.bytes());
  CHECK(parts.losses.bytes() == whole.losses.bytes());
}

TEST_CASE("cross_entropy: a logit that is not finite shows in the loss, and padding never does", "[kernels]") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (DType type : {DType::f32, DType::bf16})
    for (Elems at : {0, 3, 17, 99}) {
      Chunk chunk(type, 1, 100, 1);
      chunk.targets.set(0, 3);
      for (double bad : {std::nan(""), infinity}) {
        chunk.logits.randomize(1);
        chunk.logits.set(0, at, bad);
        chunk.run(false);
        CHECK(!std::isfinite(chunk.losses.at(0)));
      }
      // A logit of -inf is a token that cannot be; only as the target is that a loss without end.
      chunk.logits.set(0, at, -infinity);
      chunk.run(false);
      CHECK(std::isfinite(chunk.losses.at(0)) == (at != 3));
      chunk.logits.randomize(1);
      chunk.logits.set(0, 100, std::nan(""));
      chunk.logits.set(0, 127, infinity);
      chunk.run(true);
      CHECK(std::isfinite(chunk.losses.at(0)));
      CHECK(chunk.logits.at(0, 100) == 0);
      CHECK(chunk.logits.at(0, 127) == 0);
    }
}

TEST_CASE("cross_entropy: a target outside the vocabulary is refused on any threads, with nothing touched",
          "[kernels]") {
  for (int threads : {1, 2, 4}) {
    Chunk chunk(DType::f32, 13, 100, 1);
    chunk.targets.set(11, 100);
    const GuardedTensor before = chunk.logits;
    cpu::set_kernel_threads(threads);
    CHECK_THROWS_AS(chunk.run(true), Error);
    CHECK(chunk.logits.bytes() == before.bytes());
    chunk.weights.set(11, 0);  // a token that does not count may have any target
    CHECK_NOTHROW(chunk.run(true));
  }
  cpu::set_kernel_threads(1);
}

TEST_CASE("cross_entropy: views that do not fit together are refused", "[kernels]") {
  Chunk chunk(DType::f32, 3, 100, 1);
  chunk.vocabulary = 129;
  CHECK_THROWS_AS(chunk.run(true), Error);
  chunk.vocabulary = 100;
  chunk.losses = GuardedTensor(DType::f32, 2);
  CHECK_THROWS_AS(chunk.run(true), Error);
}

}  // namespace trireme
