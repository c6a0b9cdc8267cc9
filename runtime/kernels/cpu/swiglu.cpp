#include "runtime/kernels/swiglu.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/swiglu.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

template <typename T>
void forward_row(const SwigluForward& k, Elems n) {
  const T *gate = row_of<T>(k.gate, n), *up = row_of<T>(k.up, n);
  T* out = row_of<T>(k.out, n);
  for (Elems f = 0; f < k.out.cols; f += lanes) {
    const F16 g = load_at(gate, f, k.out.cols);
    store_at(out, g * sigmoid(g) * load_at(up, f, k.out.cols), f, k.out.cols);
  }
}

template <typename T>
void backward_row(const SwigluBackward& k, Elems n) {
  const T *gate = row_of<T>(k.gate, n), *up = row_of<T>(k.up, n);
  const T* d_out = row_of<T>(k.d_out, n);
  T *d_gate = row_of<T>(k.d_gate, n), *d_up = row_of<T>(k.d_up, n);
  const Elems width = k.d_out.cols;
  for (Elems f = 0; f < width; f += lanes) {
    const F16 g = load_at(gate, f, width), d = load_at(d_out, f, width), s = sigmoid(g);
    store_at(d_gate, d * load_at(up, f, width) * s * fma(g, set(1.0f) - s, set(1.0f)), f, width);
    store_at(d_up, d * (g * s), f, width);
  }
}

void forward(const SwigluForward& k) {
  with_storage(k.out.type, [&](auto type) {
    for_each_block(k.out.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) forward_row<decltype(type)>(k, n);
    });
  });
}

void backward(const SwigluBackward& k) {
  with_storage(k.d_out.type, [&](auto type) {
    for_each_block(k.d_out.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) backward_row<decltype(type)>(k, n);
    });
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(forward);
HWY_EXPORT(backward);
}  // namespace cpu

void swiglu_forward(const SwigluForward& k) {
  using namespace cpu;
  for (const ConstView& view : {k.gate, k.up})
    check_matrix("swiglu_forward: gate or up", view, k.out.type, k.out.rows, k.out.cols);
  HWY_DYNAMIC_DISPATCH(forward)(k);
}
void swiglu_backward(const SwigluBackward& k) {
  using namespace cpu;
  for (const ConstView& view : {k.gate, k.up, ConstView(k.d_gate), ConstView(k.d_up)})
    check_matrix("swiglu_backward: gate, up or a gradient of theirs", view, k.d_out.type, k.d_out.rows, k.d_out.cols);
  HWY_DYNAMIC_DISPATCH(backward)(k);
}
}  // namespace trireme
#endif
