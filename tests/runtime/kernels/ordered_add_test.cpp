#include "runtime/kernels/ordered_add.h"

#include "runtime/kernels/cpu/simd/streaming.h"
#include "tests/reference/ordered_add.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

/// Tensors of random numbers and their views, in adding order.
struct Pieces {
  Pieces(DType type, Elems n, int count) : tensors(static_cast<std::size_t>(count), GuardedTensor(type, n)) {
    for (std::size_t p = 0; p < tensors.size(); ++p) views.push_back(tensors[p].randomize(p).view());
  }
  std::vector<GuardedTensor> tensors;
  std::vector<ConstView> views;
};

}  // namespace

TEST_CASE("ordered_add: per element one chain over the pieces, bit for bit", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (bool store_first : {true, false})
      for (Elems n : {1, 2, 15, 16, 17, 1023, 1025, 33000})
        for (int count : {1, 2, 13}) {
          const Pieces pieces(type, n, count);
          GuardedTensor sum(DType::f32, n), expected(DType::f32, n);
          sum.randomize(99);
          for (Elems i = 0; i < n; ++i) {
            std::vector<float> terms;
            for (const GuardedTensor& piece : pieces.tensors) terms.push_back(static_cast<float>(piece.at(i)));
            expected.set(i, reference::ordered_add(static_cast<float>(sum.at(i)), terms, store_first));
          }
          run_every_way({&sum},
                        [&] { ordered_add({.accumulator = sum, .pieces = pieces.views, .store_first = store_first}); });
          REQUIRE(sum.bytes() == expected.bytes());
        }
}

TEST_CASE("ordered_add: pieces added in two calls have the bits of one, in another order they have not", "[kernels]") {
  cpu::set_float_mode();
  const Elems n = 33000;
  const Pieces pieces(DType::f32, n, 13);
  GuardedTensor once(DType::f32, n), twice(DType::f32, n), swapped(DType::f32, n);
  ordered_add({.accumulator = once, .pieces = pieces.views, .store_first = true});
  const std::span<const ConstView> all = pieces.views;
  ordered_add({.accumulator = twice, .pieces = all.first(5), .store_first = true});
  ordered_add({.accumulator = twice, .pieces = all.subspan(5)});
  CHECK(twice.bytes() == once.bytes());
  std::vector<ConstView> order = pieces.views;
  std::swap(order[2], order[3]);
  ordered_add({.accumulator = swapped, .pieces = order, .store_first = true});
  CHECK(swapped.bytes() != once.bytes());
}

TEST_CASE("ordered_add: sums that are stored past the caches have the bits of others", "[kernels]") {
  const Elems n = 2 * MiB / size_bytes(DType::f32) + 35, half = 1024 * 200;
  REQUIRE(cpu::is_worth_streaming(n * size_bytes(DType::f32)));
  const Pieces pieces(DType::bf16, n, 3);
  GuardedTensor at_once(DType::f32, n), in_parts(DType::f32, n);
  for (Elems first = 0; first < n; first += half) {
    const Elems count = std::min(half, n - first);
    std::vector<ConstView> parts;
    for (const ConstView& piece : pieces.views) parts.emplace_back(piece.as<bf16>() + first, DType::bf16, count);
    ordered_add({.accumulator = View(in_parts.view().as<float>() + first, DType::f32, count),
                 .pieces = parts,
                 .store_first = true});
  }
  run_every_way({&at_once},
                [&] { ordered_add({.accumulator = at_once, .pieces = pieces.views, .store_first = true}); });
  CHECK(at_once.bytes() == in_parts.bytes());
}

TEST_CASE("ordered_add: stored first, nothing of the accumulator is read", "[kernels]") {
  const Pieces pieces(DType::bf16, 17, 2);
  GuardedTensor sum(DType::f32, 17);  // full of NaN
  ordered_add({.accumulator = sum, .pieces = pieces.views, .store_first = true});
  for (double x : sum.values()) CHECK(std::isfinite(x));
}

TEST_CASE("ordered_add: a contribution of -0 is stored as it is", "[kernels]") {
  for (Elems n : {1, 16}) {
    GuardedTensor piece(DType::bf16, n), sum(DType::f32, n);
    for (Elems i = 0; i < n; ++i) piece.set(i, -0.0), sum.set(i, 0);
    const ConstView view = piece;
    ordered_add({.accumulator = sum, .pieces = {&view, 1}, .store_first = true});
    CHECK(std::signbit(sum.at(n - 1)));
    sum.set(n - 1, 0);
    ordered_add({.accumulator = sum, .pieces = {&view, 1}});
    CHECK_FALSE(std::signbit(sum.at(n - 1)));
  }
}

TEST_CASE("ordered_add: no pieces, other lengths or mixed types are refused", "[kernels]") {
  GuardedTensor sum(DType::f32, 16), shorter(DType::f32, 15), narrow(DType::bf16, 16), piece(DType::f32, 16);
  CHECK_THROWS_AS(ordered_add({.accumulator = sum}), Error);
  for (const GuardedTensor* other : {&shorter, &narrow}) {
    const ConstView views[] = {piece, *other};
    CHECK_THROWS_AS(ordered_add({.accumulator = sum, .pieces = views}), Error);
  }
  const ConstView view = piece;
  CHECK_THROWS_AS(ordered_add({.accumulator = narrow, .pieces = {&view, 1}}), Error);
}

}  // namespace trireme
