#include "runtime/kernels/rms_norm.h"

#include "runtime/kernels/cpu/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/rms_norm.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

template <typename T>
void forward_row(const RmsNormForward& k, Elems n) {
  const Elems channels = k.x.cols;
  const T* x = k.x.as<T>() + n * k.x.row_stride;
  F16 squares = set(0);
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 value = load_at(x, c, channels);
    squares = fma(value, value, squares);
  }
  const float inv_rms = 1.0f / std::sqrt(sum(squares) / static_cast<float>(channels) + k.eps);
  T* out = k.out.as<T>() + n * k.out.row_stride;
  for (Elems c = 0; c < channels; c += lanes)
    store_at(out, load_at(x, c, channels) * set(inv_rms) * load_at(k.gain.as<T>(), c, channels), c, channels);
  k.inv_rms.as<float>()[n] = inv_rms;
}

template <typename T>
void backward_row(const RmsNormBackward& k, Elems n) {
  const Elems channels = k.x.cols;
  const T* x = k.x.as<T>() + n * k.x.row_stride;
  const T* d_out = k.d_out.as<T>() + n * k.d_out.row_stride;
  const T* residual = k.d_residual.empty() ? nullptr : k.d_residual.as<T>() + n * k.d_residual.row_stride;
  T* d_x = k.d_x.as<T>() + n * k.d_x.row_stride;
  const F16 inv_rms = set(k.inv_rms.as<float>()[n]);
  F16 dot = set(0);
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(d_out, c, channels) * load_at(k.gain.as<T>(), c, channels);
    dot = fma(d, load_at(x, c, channels) * inv_rms, dot);
  }
  const F16 mean_dot = set(sum(dot) / static_cast<float>(channels));
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(d_out, c, channels) * load_at(k.gain.as<T>(), c, channels);
    F16 out = inv_rms * (d - load_at(x, c, channels) * inv_rms * mean_dot);
    if (residual) out = load_at(residual, c, channels) + out;
    store_at(d_x, out, c, channels);
  }
}

// Sixteen channels: one chain over the tokens each.
template <typename T, typename G>
void backward_columns(const RmsNormBackward& k, Elems c) {
  const Elems channels = k.x.cols;
  F16 d_gain = set(0);
  for (Elems n = 0; n < k.x.rows; ++n) {
    const F16 d = load_at(k.d_out.as<T>() + n * k.d_out.row_stride, c, channels);
    const F16 x = load_at(k.x.as<T>() + n * k.x.row_stride, c, channels);
    d_gain = fma(d, x * set(k.inv_rms.as<float>()[n]), d_gain);
  }
  store_at(k.d_gain.as<G>(), d_gain, c, channels);
}

void forward(const RmsNormForward& k) {
  with_type(k.x.type, [&](auto type) {
    for_each_block(k.x.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) forward_row<decltype(type)>(k, n);
    });
  });
}

void backward(const RmsNormBackward& k) {
  with_type(k.x.type, [&](auto type) {
    using T = decltype(type);
    with_type(k.d_gain.type, [&](auto gradient) {
      for_each_block(k.x.cols, lanes, [&](Elems c, Elems, int) { backward_columns<T, decltype(gradient)>(k, c); });
    });
    for_each_block(k.x.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) backward_row<T>(k, n);
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

void rms_norm_forward(const RmsNormForward& k) {
  using namespace cpu;
  check_matrix("rms_norm_forward: out", k.out, k.x.type, k.x.rows, k.x.cols);
  check_vector("rms_norm_forward: gain", k.gain, k.x.type, k.x.cols);
  check_vector("rms_norm_forward: inv_rms", k.inv_rms, DType::f32, k.x.rows);
  HWY_DYNAMIC_DISPATCH(forward)(k);
}
void rms_norm_backward(const RmsNormBackward& k) {
  using namespace cpu;
  check_matrix("rms_norm_backward: d_out", k.d_out, k.x.type, k.x.rows, k.x.cols);
  check_matrix("rms_norm_backward: d_x", k.d_x, k.x.type, k.x.rows, k.x.cols);
  if (!k.d_residual.empty())
    check_matrix("rms_norm_backward: d_residual", k.d_residual, k.x.type, k.x.rows, k.x.cols);
  check_vector("rms_norm_backward: gain", k.gain, k.x.type, k.x.cols);
  check_vector("rms_norm_backward: inv_rms", k.inv_rms, DType::f32, k.x.rows);
  check_vector("rms_norm_backward: d_gain", k.d_gain, k.d_gain.type, k.x.cols);
  HWY_DYNAMIC_DISPATCH(backward)(k);
}
}  // namespace trireme
#endif
