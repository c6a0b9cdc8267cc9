#include "runtime/kernels/square_sum.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/square_sum.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/threads.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

constexpr Elems block = 1024;
constexpr Elems lane_count = 16;
// Blocks that one thread sums before it merges; keeps the partial sums on the stack.
constexpr Elems blocks_at_once = 512;

/// One block in 16 lanes of f64; plain code, which compilers turn into vectors of any width with the same bits.
template <typename Term>
double sum_block(const float* x, Elems n, Term term) {
  std::array<double, lane_count> lane{};
  Elems i = 0;
  for (; i + lane_count <= n; i += lane_count)
    for (Elems l = 0; l < lane_count; ++l) lane[static_cast<std::size_t>(l)] += term(static_cast<double>(x[i + l]));
  for (Elems l = 0; i + l < n; ++l) lane[static_cast<std::size_t>(l)] += term(static_cast<double>(x[i + l]));
  for (std::size_t half = lane_count / 2; half > 0; half /= 2)
    for (std::size_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

template <typename Term>
void sum_blocks(const ConstView& x, ExactSum& sum, Term term) {
  const Elems n = x.elems();
  check_vector("square_sum: x", x, DType::f32, n);
  const float* data = x.as<float>();
  for (Elems start = 0; start < n; start += block * blocks_at_once) {
    std::array<double, blocks_at_once> partial{};
    const Elems count = std::min(n - start, block * blocks_at_once);
    for_each_block(count, block, [&](Elems first, Elems last, int) HWY_ATTR {
      partial[static_cast<std::size_t>(first / block)] = sum_block(data + start + first, last - first, term);
    });
    for (Elems b = 0; b * block < count; ++b) sum.add(partial[static_cast<std::size_t>(b)]);
  }
}

void squares(const SquareSum& k) {
  sum_blocks(k.x, *k.sum, [](double x) HWY_ATTR { return x * x; });
}
void values(const BlockSum& k) {
  sum_blocks(k.x, *k.sum, [](double x) HWY_ATTR { return x; });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(squares);
HWY_EXPORT(values);
}  // namespace cpu

void square_sum(const SquareSum& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(squares)(k);
}
void block_sum(const BlockSum& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(values)(k);
}
}  // namespace trireme
#endif
