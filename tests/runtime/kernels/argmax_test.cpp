#include "runtime/kernels/argmax.h"

#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

Elems argmax_of(GuardedTensor& logits, Elems vocabulary) {
  GuardedTensor index(DType::i32, 1);
  run_every_way({&index}, [&] { argmax({.logits = logits, .vocabulary = vocabulary, .index = index}); });
  return static_cast<Elems>(index.at(0));
}

}  // namespace

TEST_CASE("argmax: the first of the largest, wherever it stands, and never in the padding", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems vocabulary : {1, 2, 15, 16, 17, 1023, 4099}) {
      GuardedTensor logits(type, 1, align_up(vocabulary + 1, 128));
      for (Elems at : {Elems(0), vocabulary / 2, vocabulary - 1}) {
        logits.randomize(5);
        logits.set(0, vocabulary, 99);  // padding
        logits.set(0, at, 9);
        logits.set(0, vocabulary - 1, 9);
        CHECK(argmax_of(logits, vocabulary) == at);
      }
    }
}

TEST_CASE("argmax: infinities are numbers, NaN is none", "[kernels]") {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (DType type : {DType::bf16, DType::f32}) {
    const auto of = [&](std::vector<double> values) {
      GuardedTensor logits(type, 1, 128);
      for (std::size_t v = 0; v < values.size(); ++v) logits.set(static_cast<Elems>(v), values[v]);
      return argmax_of(logits, static_cast<Elems>(values.size()));
    };
    CHECK(of({nan, -infinity, 1, infinity, infinity}) == 3);
    CHECK(of({nan, -infinity, nan, -infinity}) == 1);
    CHECK(of({-infinity, nan, nan}) == 0);
    CHECK(of({1, nan, 2, nan}) == 2);
    CHECK(of({-0.0, 0.0}) == 0);
    CHECK(of({nan, nan, nan}) == 0);
  }
}

TEST_CASE("argmax: views that do not fit are refused", "[kernels]") {
  GuardedTensor logits(DType::f32, 1, 128), two_rows(DType::f32, 2, 128), index(DType::i32, 1), wide(DType::f32, 1);
  CHECK_THROWS_AS(argmax({.logits = logits, .vocabulary = 129, .index = index}), Error);
  CHECK_THROWS_AS(argmax({.logits = logits, .vocabulary = 0, .index = index}), Error);
  CHECK_THROWS_AS(argmax({.logits = two_rows, .vocabulary = 100, .index = index}), Error);
  CHECK_THROWS_AS(argmax({.logits = logits, .vocabulary = 100, .index = wide}), Error);
}

}  // namespace trireme
