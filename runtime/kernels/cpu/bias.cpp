#include "runtime/kernels/bias.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/bias.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/column_runs.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Rows that are added while the chains of a run are in registers.
constexpr int rows_at_once = 4;

template <typename T, int rows>
void add_rows(const BiasGradient& k, Elems n, Elems first, Elems width, float* sums) {
  const T* x[rows];
  for (int r = 0; r < rows; ++r) x[r] = row_of<T>(k.d_out, n + r) + first;
  for (Elems c = 0; c < width; c += lanes) {
    F16 total = load(sums + c);
    for (int r = 0; r < rows; ++r) total = total + load_at(x[r], c, width);
    store(sums + c, total);
  }
}

template <typename T, typename G>
void sum_columns(const BiasGradient& k, Elems first, Elems last) {
  alignas(64) float sums[widest_run] = {};
  const Elems width = last - first;
  Elems n = 0;
  for (; n + rows_at_once <= k.d_out.rows; n += rows_at_once) add_rows<T, rows_at_once>(k, n, first, width, sums);
  for (; n < k.d_out.rows; ++n) add_rows<T, 1>(k, n, first, width, sums);
  for (Elems c = 0; c < width; c += lanes) store_at(k.d_bias.as<G>() + first, load(sums + c), c, width);
}

void column_sums(const BiasGradient& k) {
  with_type(k.d_out.type, [&](auto type) {
    with_type(k.d_bias.type, [&](auto gradient) {
      for_each_column_run(k.d_out.cols, [&](Elems first, Elems last, int) {
        sum_columns<decltype(type), decltype(gradient)>(k, first, last);
      });
    });
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(column_sums);
}  // namespace cpu

void bias_gradient(const BiasGradient& k) {
  using namespace cpu;
  if (k.d_bias.empty()) return;
  check_vector("bias_gradient: d_bias", k.d_bias, k.d_bias.type, k.d_out.cols);
  HWY_DYNAMIC_DISPATCH(column_sums)(k);
}
}  // namespace trireme
#endif
