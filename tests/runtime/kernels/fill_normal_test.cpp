#include "runtime/kernels/fill_normal.h"

#include "tests/runtime/kernels/every_way.h"

namespace trireme {

TEST_CASE("fill_normal: element i is scale times the stream's number, rounded once, on any threads", "[kernels]") {
  const Random random(7, "tensor");
  for (Elems n : {1, 2, 15, 17, 1023, 4099, 8193}) {
    GuardedTensor out(DType::f32, n);
    run_every_way({&out},
                  [&] { fill_normal({.out = out, .random = random, .first_index = 1ull << 33, .scale = 0.02}); });
    for (Elems i = 0; i < n; ++i)
      REQUIRE(out.at(i) == static_cast<float>(0.02 * random.normal((1ull << 33) + static_cast<std::uint64_t>(i))));
  }
}

TEST_CASE("fill_normal: any part of a tensor is made alone", "[kernels]") {
  GuardedTensor whole(DType::f32, 9001), part(DType::f32, 777);
  fill_normal({.out = whole, .random = Random(7, "tensor"), .scale = 0.02});
  fill_normal({.out = part, .random = Random(7, "tensor"), .first_index = 4321, .scale = 0.02});
  for (Elems i = 0; i < 777; ++i) REQUIRE(part.at(i) == whole.at(4321 + i));
}

TEST_CASE("fill_normal: the moments of a normal", "[kernels]") {
  const Elems n = 100000;
  GuardedTensor whole(DType::f32, n);
  fill_normal({.out = whole, .random = Random(7, "tensor"), .scale = 0.02});
  double sum = 0, squares = 0;
  for (double x : whole.values()) sum += x, squares += x * x;
  // Five standard errors of the mean and of the variance.
  CHECK(std::fabs(sum / n) < 5 * 0.02 / std::sqrt(n));
  CHECK(std::fabs(squares / n / 0.0004 - 1) < 5 * std::sqrt(2.0 / n));
}

TEST_CASE("fill_constant: every element and no other", "[kernels]") {
  GuardedTensor out(DType::f32, 17);
  fill_constant(out, 3);
  for (double x : out.values()) CHECK(x == 3);
  CHECK(out.guards_intact());
}

}  // namespace trireme
