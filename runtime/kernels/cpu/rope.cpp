#include "runtime/kernels/rope.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/rope.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

template <typename T>
void turn_row(const Rope& k, Elems n) {
  const Elems half = k.head_dim / 2;
  const Elems position = k.positions.as<std::int32_t>()[n];
  const float* cosines = k.cosines.as<float>() + position * k.cosines.row_stride;
  const float* sines = k.sines.as<float>() + position * k.sines.row_stride;
  const F16 sign = set(k.direction == RopeDirection::forward ? 1.0f : -1.0f);
  for (Elems head = 0; head < k.x.cols; head += k.head_dim) {
    T* low = row_of<T>(k.x, n) + head;
    T* high = low + half;
    for (Elems i = 0; i < half; i += lanes) {
      const F16 a = load_at(low, i, half), b = load_at(high, i, half);
      const F16 cosine = load_at(cosines, i, half), sine = sign * load_at(sines, i, half);
      store_at(low, a * cosine - b * sine, i, half);
      store_at(high, b * cosine + a * sine, i, half);
    }
  }
}

void turn(const Rope& k) {
  with_storage(k.x.type, [&](auto type) {
    for_each_block(k.x.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) turn_row<decltype(type)>(k, n);
    });
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(turn);
}  // namespace cpu

void rope(const Rope& k) {
  using namespace cpu;
  ensure(k.head_dim > 0 && k.head_dim % 2 == 0 && k.x.cols % k.head_dim == 0,
         "rope: {} columns are not heads of an even width {}", k.x.cols, k.head_dim);
  check_vector("rope: positions", k.positions, DType::i32, k.x.rows);
  check_matrix("rope: cosines", k.cosines, DType::f32, k.cosines.rows, k.head_dim / 2);
  check_matrix("rope: sines", k.sines, DType::f32, k.cosines.rows, k.head_dim / 2);
  const auto* position = k.positions.as<std::int32_t>();
  for (Elems n = 0; n < k.x.rows; ++n)
    ensure(position[n] >= 0 && position[n] < k.cosines.rows,
           "rope: position {} of token {} is outside a table of {} rows", position[n], n, k.cosines.rows);
  HWY_DYNAMIC_DISPATCH(turn)(k);
}
}  // namespace trireme
#endif
