#include "runtime/kernels/square_sum.h"

#include "tests/reference/square_sum.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

/// The limbs of both sums of x, in this order.
struct Sums {
  explicit Sums(const ConstView& x) {
    square_sum({.x = x, .sum = &squares});
    block_sum({.x = x, .sum = &values});
  }
  bool operator==(const Sums& other) const {
    return squares.limbs == other.squares.limbs && values.limbs == other.values.limbs;
  }
  ExactSum squares, values;
};

}  // namespace

TEST_CASE("square_sum: equals long double within f64 rounding, on any threads and cut at any block", "[kernels]") {
  for (Elems n : {1, 2, 15, 16, 17, 1023, 1024, 1025, 4099, 65536, 65537, 200001}) {
    GuardedTensor x(DType::f32, n);
    x.randomize(3);
    const reference::LongSums expected = reference::long_sums(x.values());
    const Sums first(x);
    CHECK(std::fabs(static_cast<double>(first.squares.value() - expected.squares)) <=
          reference::block_sum_error * static_cast<double>(expected.squares));
    CHECK(std::fabs(static_cast<double>(first.values.value() - expected.values)) <=
          reference::block_sum_error * static_cast<double>(expected.magnitudes));
    for (int threads : {2, 4}) {
      cpu::set_kernel_threads(threads);
      CHECK(Sums(x) == first);
    }
    cpu::set_kernel_threads(1);
    const ConstView view = x;
    for (Elems cut : {1024, 3 * 1024, 66 * 1024}) {
      ExactSum parts;
      for (Elems start = 0; start < n; start += cut) {
        ExactSum part;
        square_sum({.x = view.cols_from(start, std::min(cut, n - start)), .sum = &part});
        part.merge(parts);
        parts = part;
      }
      CHECK(parts.limbs == first.squares.limbs);
    }
  }
}

TEST_CASE("square_sum: squares of the largest and smallest numbers do not overflow or vanish", "[kernels]") {
  cpu::set_float_mode();
  for (double magnitude : {0x1p127, 0x1p-126}) {
    GuardedTensor x(DType::f32, 1025);
    for (Elems i = 0; i < 1025; ++i) x.set(i, i % 2 ? magnitude : -magnitude);
    const Sums sums(x);
    CHECK(sums.squares.value() == 1025 * magnitude * magnitude);
    CHECK(sums.values.value() == -magnitude);
  }
}

TEST_CASE("square_sum: adds to what is there; of nothing it adds nothing", "[kernels]") {
  GuardedTensor x(DType::f32, 3);
  for (Elems i = 0; i < 3; ++i) x.set(i, 2);
  ExactSum sum;
  sum.add(0.5);
  square_sum({.x = x, .sum = &sum});
  block_sum({.x = x, .sum = &sum});
  square_sum({.x = x.view().cols_from(0, 0), .sum = &sum});
  CHECK(sum.value() == 18.5);
}

TEST_CASE("square_sum: a NaN or an infinity makes the sums not a number", "[kernels]") {
  for (double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    GuardedTensor x(DType::f32, 2000);
    x.randomize(1);
    x.set(1500, bad);
    const Sums sums(x);
    CHECK(std::isnan(sums.squares.value()));
    CHECK(std::isnan(sums.values.value()));
  }
}

TEST_CASE("square_sum: a view with gaps or of another type is refused", "[kernels]") {
  GuardedTensor gaps(DType::f32, 2, 16, 1), narrow(DType::bf16, 16);
  CHECK_THROWS_AS(Sums(gaps.view()), Error);
  CHECK_THROWS_AS(Sums(narrow.view()), Error);
}

}  // namespace trireme
