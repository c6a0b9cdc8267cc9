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

// A run of channels wide enough to read whole cache lines and to keep several chains in flight.
constexpr Elems channels_at_once = 8 * lanes;

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
  const T* gain = k.gain.as<T>();
  T* out = k.out.as<T>() + n * k.out.row_stride;
  for (Elems c = 0; c < channels; c += lanes)
    store_at(out, load_at(x, c, channels) * set(inv_rms) * load_at(gain, c, channels), c, channels);
  k.inv_rms.as<float>()[n] = inv_rms;
}

template <typename T>
void backward_row(const RmsNormBackward& k, Elems n) {
  const Elems channels = k.x.cols;
  const T* x = k.x.as<T>() + n * k.x.row_stride;
  const T* d_out = k.d_out.as<T>() + n * k.d_out.row_stride;
  const T* gain = k.gain.as<T>();
  const T* residual = k.d_residual.empty() ? nullptr : k.d_residual.as<T>() + n * k.d_residual.row_stride;
  T* d_x = k.d_x.as<T>() + n * k.d_x.row_stride;
  const F16 inv_rms = set(k.inv_rms.as<float>()[n]);
  F16 dot = set(0);
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(d_out, c, channels) * load_at(gain, c, channels);
    dot = fma(d, load_at(x, c, channels) * inv_rms, dot);
  }
  const F16 mean_dot = set(sum(dot) / static_cast<float>(channels));
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(d_out, c, channels) * load_at(gain, c, channels);
    F16 out = inv_rms * (d - load_at(x, c, channels) * inv_rms * mean_dot);
    if (residual) out = load_at(residual, c, channels) + out;
    store_at(d_x, out, c, channels);
  }
}

// Channels [first, last): one chain over the tokens each.
template <typename T, typename G>
void backward_columns(const RmsNormBackward& k, Elems first, Elems last) {
  F16 d_gain[channels_at_once / lanes];
  for (F16& chain : d_gain) chain = set(0);
  for (Elems n = 0; n < k.x.rows; ++n) {
    const T *d_out = k.d_out.as<T>() + n * k.d_out.row_stride, *x = k.x.as<T>() + n * k.x.row_stride;
    const F16 inv_rms = set(k.inv_rms.as<float>()[n]);
    for (Elems c = first, i = 0; c < last; c += lanes, ++i)
      d_gain[i] = fma(load_at(d_out, c, last), load_at(x, c, last) * inv_rms, d_gain[i]);
  }
  for (Elems c = first, i = 0; c < last; c += lanes, ++i) store_at(k.d_gain.as<G>(), d_gain[i], c, last);
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
      for_each_block(k.x.cols, channels_at_once, [&](Elems first, Elems last, int) {
        backward_columns<T, decltype(gradient)>(k, first, last);
      });
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
