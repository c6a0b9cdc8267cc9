#include "runtime/kernels/bias.h"

#include "runtime/kernels/cpu/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/bias.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// A run of channels wide enough to read whole cache lines; one chain over the tokens per channel, in registers where all
// vectors are whole.
constexpr int vectors_at_once = 8;
constexpr Elems channels_at_once = vectors_at_once * lanes;

template <typename T, typename G, bool whole>
void sum_columns(const BiasGradient& k, Elems first, Elems last) {
  F16 sums[vectors_at_once];
  const int vectors = whole ? vectors_at_once : static_cast<int>(ceil_div(last - first, lanes));
  for (int i = 0; i < vectors; ++i) sums[i] = set(0);
  for (Elems n = 0; n < k.d_out.rows; ++n) {
    const T* row = row_of<T>(k.d_out, n) + first;
    for (int i = 0; i < vectors; ++i) sums[i] = sums[i] + load_in<whole>(row, i * lanes, last - first);
  }
  for (int i = 0; i < vectors; ++i) store_at(k.d_bias.as<G>(), sums[i], first + i * lanes, last);
}

void column_sums(const BiasGradient& k) {
  with_type(k.d_out.type, [&](auto type) {
    with_type(k.d_bias.type, [&](auto gradient) {
      using T = decltype(type);
      using G = decltype(gradient);
      for_each_block(k.d_out.cols, channels_at_once, [&](Elems first, Elems last, int) {
        if (last - first == channels_at_once) sum_columns<T, G, true>(k, first, last);
        else sum_columns<T, G, false>(k, first, last);
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
  check_vector("bias_gradient: d_bias", k.d_bias, k.d_bias.type, k.d_out.cols);
  HWY_DYNAMIC_DISPATCH(column_sums)(k);
}
}  // namespace trireme
#endif
