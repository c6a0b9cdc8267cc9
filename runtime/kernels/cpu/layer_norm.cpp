#include "runtime/kernels/layer_norm.h"

#include "runtime/kernels/cpu/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/layer_norm.cpp"
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
void forward_row(const LayerNormForward& k, Elems n) {
  const Elems channels = k.x.cols;
  const T* x = k.x.as<T>() + n * k.x.row_stride;
  F16 total = set(0);
  for (Elems c = 0; c < channels; c += lanes) total = total + load_at(x, c, channels);
  const float mean = sum(total) / static_cast<float>(channels);
  F16 squares = set(0);
  // A tail is filled with the mean: its distance is zero.
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(x, c, channels, mean) - set(mean);
    squares = fma(d, d, squares);
  }
  const float inv_std = 1.0f / std::sqrt(sum(squares) / static_cast<float>(channels) + k.eps);
  const T *gain = k.gain.as<T>(), *bias = k.bias.as<T>();
  T* out = k.out.as<T>() + n * k.out.row_stride;
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 normed = (load_at(x, c, channels) - set(mean)) * set(inv_std);
    store_at(out, fma(normed, load_at(gain, c, channels), load_at(bias, c, channels)), c, channels);
  }
  k.mean.as<float>()[n] = mean;
  k.inv_std.as<float>()[n] = inv_std;
}

template <typename T>
void backward_row(const LayerNormBackward& k, Elems n) {
  const Elems channels = k.x.cols;
  const T* x = k.x.as<T>() + n * k.x.row_stride;
  const T* d_out = k.d_out.as<T>() + n * k.d_out.row_stride;
  const T* gain = k.gain.as<T>();
  const T* residual = k.d_residual.empty() ? nullptr : k.d_residual.as<T>() + n * k.d_residual.row_stride;
  T* d_x = k.d_x.as<T>() + n * k.d_x.row_stride;
  const F16 mean = set(k.mean.as<float>()[n]), inv_std = set(k.inv_std.as<float>()[n]);
  F16 sum_d = set(0), sum_dx = set(0);
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(d_out, c, channels) * load_at(gain, c, channels);
    sum_d = sum_d + d;
    sum_dx = fma(d, (load_at(x, c, channels) - mean) * inv_std, sum_dx);
  }
  const F16 mean_d = set(sum(sum_d) / static_cast<float>(channels));
  const F16 mean_dx = set(sum(sum_dx) / static_cast<float>(channels));
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 d = load_at(d_out, c, channels) * load_at(gain, c, channels);
    const F16 normed = (load_at(x, c, channels) - mean) * inv_std;
    F16 out = inv_std * (d - mean_d - normed * mean_dx);
    if (residual) out = load_at(residual, c, channels) + out;
    store_at(d_x, out, c, channels);
  }
}

// Channels [first, last): one chain over the tokens each.
template <typename T, typename G>
void backward_columns(const LayerNormBackward& k, Elems first, Elems last) {
  F16 d_gain[channels_at_once / lanes], d_bias[channels_at_once / lanes];
  for (F16& chain : d_gain) chain = set(0);
  for (F16& chain : d_bias) chain = set(0);
  for (Elems n = 0; n < k.x.rows; ++n) {
    const T *d_out = k.d_out.as<T>() + n * k.d_out.row_stride, *x = k.x.as<T>() + n * k.x.row_stride;
    const F16 mean = set(k.mean.as<float>()[n]), inv_std = set(k.inv_std.as<float>()[n]);
    for (Elems c = first, i = 0; c < last; c += lanes, ++i) {
      const F16 d = load_at(d_out, c, last);
      d_gain[i] = fma(d, (load_at(x, c, last) - mean) * inv_std, d_gain[i]);
      d_bias[i] = d_bias[i] + d;
    }
  }
  for (Elems c = first, i = 0; c < last; c += lanes, ++i) {
    store_at(k.d_gain.as<G>(), d_gain[i], c, last);
    store_at(k.d_bias.as<G>(), d_bias[i], c, last);
  }
}

void forward(const LayerNormForward& k) {
  with_type(k.x.type, [&](auto type) {
    for_each_block(k.x.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) forward_row<decltype(type)>(k, n);
    });
  });
}

void backward(const LayerNormBackward& k) {
  with_type(k.x.type, [&](auto type) {
    using T = decltype(type);
    // Columns first: d_x may be d_residual, but x and d_out are still whole either way.
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

void layer_norm_forward(const LayerNormForward& k) {
  using namespace cpu;
  check_matrix("layer_norm_forward: out", k.out, k.x.type, k.x.rows, k.x.cols);
  check_vector("layer_norm_forward: gain", k.gain, k.x.type, k.x.cols);
  check_vector("layer_norm_forward: bias", k.bias, k.x.type, k.x.cols);
  check_vector("layer_norm_forward: mean", k.mean, DType::f32, k.x.rows);
  check_vector("layer_norm_forward: inv_std", k.inv_std, DType::f32, k.x.rows);
  HWY_DYNAMIC_DISPATCH(forward)(k);
}
void layer_norm_backward(const LayerNormBackward& k) {
  using namespace cpu;
  check_matrix("layer_norm_backward: d_out", k.d_out, k.x.type, k.x.rows, k.x.cols);
  check_matrix("layer_norm_backward: d_x", k.d_x, k.x.type, k.x.rows, k.x.cols);
  if (!k.d_residual.empty())
    check_matrix("layer_norm_backward: d_residual", k.d_residual, k.x.type, k.x.rows, k.x.cols);
  check_vector("layer_norm_backward: gain", k.gain, k.x.type, k.x.cols);
  check_vector("layer_norm_backward: mean", k.mean, DType::f32, k.x.rows);
  check_vector("layer_norm_backward: inv_std", k.inv_std, DType::f32, k.x.rows);
  check_vector("layer_norm_backward: d_gain", k.d_gain, k.d_gain.type, k.x.cols);
  check_vector("layer_norm_backward: d_bias", k.d_bias, k.d_gain.type, k.x.cols);
  HWY_DYNAMIC_DISPATCH(backward)(k);
}
}  // namespace trireme
#endif
