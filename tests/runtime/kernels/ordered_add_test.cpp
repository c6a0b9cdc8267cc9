#include "runtime/kernels/ordered_add.h"

#include "runtime/kernels/cast.h"
#include "runtime/kernels/fill_normal.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {

TEST_CASE("ordered_add: per element one chain over the pieces, bit for bit", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (bool store_first : {true, false})
      for (Elems n : {1, 15, 16, 17, 1025, 33000})
        for (int count : {1, 2, 13}) {
          std::vector<GuardedTensor> pieces(static_cast<std::size_t>(count), GuardedTensor(type, n));
          std::vector<ConstView> views;
          for (std::size_t p = 0; p < pieces.size(); ++p) views.push_back(pieces[p].randomize(p).view());
          GuardedTensor sum(DType::f32, n), expected(DType::f32, n);
          sum.randomize(99);
          for (Elems i = 0; i < n; ++i) {
            float x = static_cast<float>(sum.at(i));
            for (int p = 0; p < count; ++p) {
              const float piece = static_cast<float>(pieces[static_cast<std::size_t>(p)].at(i));
              x = store_first && p == 0 ? piece : x + piece;
            }
            expected.set(i, x);
          }
          run_every_way({&sum}, [&] { ordered_add({.accumulator = sum, .pieces = views, .store_first = store_first}); });
          REQUIRE(sum.bytes() == expected.bytes());
        }
}

TEST_CASE("ordered_add: a contribution of -0 is stored as it is", "[kernels]") {
  GuardedTensor piece(DType::bf16, 1), sum(DType::f32, 1);
  piece.set(0, -0.0);
  sum.set(0, 0);
  const ConstView view = piece;
  ordered_add({.accumulator = sum, .pieces = {&view, 1}, .store_first = true});
  CHECK(std::signbit(sum.at(0)));
}

TEST_CASE("cast: rounds to nearest even as to_bf16 does, on every kind of number", "[kernels]") {
  for (Elems n : {1, 15, 16, 17, 40000}) {
    GuardedTensor in(DType::f32, n), out(DType::bf16, n), back(DType::f32, n), expected(DType::bf16, n);
    in.randomize(1, 100);
    const double special[] = {0, -0.0, INFINITY, -INFINITY, std::nan(""), 0x1p-126, 0x1p-140, -0x1p-149, 3.4e38, 1.00390625, 1.01171875};
    for (Elems i = 0; i < n && i < 11; ++i) in.set(i, special[i]);
    for (Elems i = 0; i < n; ++i) expected.set(i, static_cast<float>(in.at(i)));
    run_every_way({&out}, [&] { cast({.in = in, .out = out}); });
    for (Elems i = 0; i < n; ++i) REQUIRE((out.at(i) == expected.at(i) || (std::isnan(out.at(i)) && std::isnan(expected.at(i)))));
    run_every_way({&back}, [&] { cast({.in = out, .out = back}); });
    for (Elems i = 0; i < n; ++i) REQUIRE((back.at(i) == out.at(i) || std::isnan(out.at(i))));
  }
}

TEST_CASE("fill_normal: any part of a tensor is made alone, with the moments of a normal", "[kernels]") {
  const Elems n = 100000;
  GuardedTensor whole(DType::f32, n), part(DType::f32, 777);
  fill_normal({.out = whole, .random = Random(7, "tensor"), .scale = 0.02});
  fill_normal({.out = part, .random = Random(7, "tensor"), .first_index = 4321, .scale = 0.02});
  for (Elems i = 0; i < 777; ++i) REQUIRE(part.at(i) == whole.at(4321 + i));
  double sum = 0, squares = 0;
  for (double x : whole.values()) sum += x, squares += x * x;
  // Five standard errors of the mean and of the variance.
  CHECK(std::fabs(sum / n) < 5 * 0.02 / std::sqrt(n));
  CHECK(std::fabs(squares / n / 0.0004 - 1) < 5 * std::sqrt(2.0 / n));
  fill_constant(part, 3);
  CHECK(part.at(776) == 3);
}

}  // namespace trireme
