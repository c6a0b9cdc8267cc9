#include "runtime/kernels/square_sum.h"

#include "tests/runtime/kernels/every_way.h"

namespace trireme {

TEST_CASE("square_sum: equals long double within f64 rounding, on any threads and cut at any block", "[kernels]") {
  for (Elems n : {1, 2, 15, 17, 1023, 1024, 1025, 4099, 200001}) {
    GuardedTensor x(DType::f32, n);
    x.randomize(3);
    long double squares = 0, values = 0, magnitudes = 0;
    for (double value : x.values()) squares += static_cast<long double>(value) * value, values += value, magnitudes += std::fabs(value);
    ExactSum first;
    square_sum({.x = x, .sum = &first});
    // A lane adds 64 squares, the tree 4 levels: 68 roundings of positive terms.
    CHECK(std::fabs(static_cast<double>(first.value() - squares)) <= 68 * 0x1p-53 * static_cast<double>(squares));
    for (int threads : {2, 4}) {
      cpu::set_kernel_threads(threads);
      ExactSum again;
      square_sum({.x = x, .sum = &again});
      CHECK(again.limbs == first.limbs);
    }
    cpu::set_kernel_threads(1);
    ExactSum parts;
    const ConstView view = x;
    for (Elems start = 0; start < n; start += 3 * 1024) square_sum({.x = view.cols_from(start, std::min<Elems>(3 * 1024, n - start)), .sum = &parts});
    CHECK(parts.value() == first.value());
    ExactSum plain;
    block_sum({.x = x, .sum = &plain});
    CHECK(std::fabs(static_cast<double>(plain.value() - values)) <= 68 * 0x1p-53 * static_cast<double>(magnitudes));
  }
}

TEST_CASE("square_sum: a NaN or an infinity makes the sum not a number", "[kernels]") {
  for (double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    GuardedTensor x(DType::f32, 2000);
    x.randomize(1);
    x.set(1500, bad);
    ExactSum sum;
    square_sum({.x = x, .sum = &sum});
    CHECK(std::isnan(sum.value()));
  }
}

}  // namespace trireme
