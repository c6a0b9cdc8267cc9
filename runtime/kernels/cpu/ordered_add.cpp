#include "runtime/kernels/ordered_add.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/ordered_add.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/simd/streaming.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

template <bool past_caches, typename T>
HWY_INLINE void add_block(float* sum, std::span<const ConstView> pieces, bool store_first, Elems first, Elems last) {
  // Types are checked once, not at each of the loads.
  const auto start = [&](std::size_t p) HWY_ATTR { return static_cast<const T*>(pieces[p].data); };
  for (Elems i = first; i < last; i += lanes) {
    F16 x = load_at(start(0), i, last);
    if (!store_first) x = load_at(sum, i, last) + x;
    for (std::size_t p = 1; p < pieces.size(); ++p) x = x + load_at(start(p), i, last);
    if (past_caches && last - i >= lanes)
      stream(sum + i, x);
    else
      store_at(sum, x, i, last);
  }
  if (past_caches) hwy::FlushStream();
}

template <typename T>
void add_pieces(float* sum, std::span<const ConstView> pieces, bool store_first, Elems n) {
  // Sums that were read are in the caches already.
  const bool past_caches =
      store_first && is_worth_streaming(n * size_bytes(DType::f32)) && to_streaming_alignment(sum) == 0;
  for_each_block(n, elementwise_block, [&](Elems first, Elems last, int) HWY_ATTR {
    if (past_caches)
      add_block<true, T>(sum, pieces, store_first, first, last);
    else
      add_block<false, T>(sum, pieces, store_first, first, last);
  });
}

void ordered_add_all(const OrderedAdd& k) {
  ensure(!k.pieces.empty(), "an ordered add of no pieces");
  for (const ConstView& piece : k.pieces)
    check_vector("ordered_add: piece", piece, k.pieces[0].type, k.accumulator.elems());
  check_vector("ordered_add: accumulator", k.accumulator, DType::f32, k.accumulator.elems());
  with_type(k.pieces[0].type, [&](auto type) {
    add_pieces<decltype(type)>(k.accumulator.as<float>(), k.pieces, k.store_first, k.accumulator.elems());
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(ordered_add_all);
}  // namespace cpu

void ordered_add(const OrderedAdd& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(ordered_add_all)(k);
}
}  // namespace trireme
#endif
