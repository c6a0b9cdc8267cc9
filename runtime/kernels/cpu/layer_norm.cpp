#include "runtime/kernels/layer_norm.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/layer_norm.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/column_runs.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Rows go together, so that their sums, one chain each, do not wait for one another.
constexpr int forward_rows_at_once = 4, backward_rows_at_once = 2;
// Rows that are added while the chains of a run of channels are in registers.
constexpr int column_rows_at_once = 4;

template <typename T, int rows>
void forward_rows(const LayerNormForward& k, Elems first) {
  const Elems channels = k.x.cols;
  const T *x[rows], *gain = k.gain.as<T>(), *bias = k.bias.as<T>();
  T* out[rows];
  F16 total[rows], squares[rows], mean[rows], inv_std[rows];
  for (int r = 0; r < rows; ++r) {
    x[r] = row_of<T>(k.x, first + r), out[r] = row_of<T>(k.out, first + r);
    total[r] = squares[r] = set(0);
  }
  for (Elems c = 0; c < channels; c += lanes)
    for (int r = 0; r < rows; ++r) total[r] = total[r] + load_at(x[r], c, channels);
  float* const means = k.mean.as<float>() + first;
  for (int r = 0; r < rows; ++r) mean[r] = set(means[r] = sum(total[r]) / static_cast<float>(channels));
  for (Elems c = 0; c < channels; c += lanes)
    for (int r = 0; r < rows; ++r) {
      // A tail is filled with the mean: its distance is zero.
      const F16 d = load_at(x[r], c, channels, means[r]) - mean[r];
      squares[r] = fma(d, d, squares[r]);
    }
  float* const inverses = k.inv_std.as<float>() + first;
  for (int r = 0; r < rows; ++r)
    inv_std[r] = set(inverses[r] = 1.0f / std::sqrt(sum(squares[r]) / static_cast<float>(channels) + k.eps));
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 g = load_at(gain, c, channels), b = load_at(bias, c, channels);
    for (int r = 0; r < rows; ++r)
      store_at(out[r], fma((load_at(x[r], c, channels) - mean[r]) * inv_std[r], g, b), c, channels);
  }
}

template <typename T, int rows>
void backward_rows(const LayerNormBackward& k, Elems first) {
  const Elems channels = k.x.cols;
  const T *x[rows], *d_out[rows], *residual[rows], *gain = k.gain.as<T>();
  T* d_x[rows];
  F16 mean[rows], inv_std[rows], sum_d[rows], sum_dx[rows], mean_d[rows], mean_dx[rows];
  for (int r = 0; r < rows; ++r) {
    const Elems n = first + r;
    x[r] = row_of<T>(k.x, n), d_out[r] = row_of<T>(k.d_out, n), d_x[r] = row_of<T>(k.d_x, n);
    residual[r] = k.d_residual.empty() ? nullptr : row_of<T>(k.d_residual, n);
    mean[r] = set(k.mean.as<float>()[n]), inv_std[r] = set(k.inv_std.as<float>()[n]);
    sum_d[r] = sum_dx[r] = set(0);
  }
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 g = load_at(gain, c, channels);
    for (int r = 0; r < rows; ++r) {
      const F16 d = load_at(d_out[r], c, channels) * g;
      sum_d[r] = sum_d[r] + d;
      sum_dx[r] = fma(d, (load_at(x[r], c, channels) - mean[r]) * inv_std[r], sum_dx[r]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    mean_d[r] = set(sum(sum_d[r]) / static_cast<float>(channels));
    mean_dx[r] = set(sum(sum_dx[r]) / static_cast<float>(channels));
  }
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 g = load_at(gain, c, channels);
    for (int r = 0; r < rows; ++r) {
      const F16 d = load_at(d_out[r], c, channels) * g;
      const F16 normed = (load_at(x[r], c, channels) - mean[r]) * inv_std[r];
      F16 out = inv_std[r] * (d - mean_d[r] - normed * mean_dx[r]);
      if (residual[r]) out = load_at(residual[r], c, channels) + out;
      store_at(d_x[r], out, c, channels);
    }
  }
}

/// Chains of a run of channels, one per channel each.
struct ColumnSums {
  alignas(64) float gain[widest_run] = {}, bias[widest_run] = {};
};

template <typename T, int rows>
void add_rows(const LayerNormBackward& k, Elems n, Elems first, Elems width, ColumnSums& sums) {
  const T *d_out[rows], *x[rows];
  F16 mean[rows], inv_std[rows];
  for (int r = 0; r < rows; ++r) {
    d_out[r] = row_of<T>(k.d_out, n + r) + first, x[r] = row_of<T>(k.x, n + r) + first;
    mean[r] = set(k.mean.as<float>()[n + r]), inv_std[r] = set(k.inv_std.as<float>()[n + r]);
  }
  for (Elems c = 0; c < width; c += lanes) {
    F16 d_gain = load(sums.gain + c), d_bias = load(sums.bias + c);
    for (int r = 0; r < rows; ++r) {
      const F16 d = load_at(d_out[r], c, width);
      d_gain = fma(d, (load_at(x[r], c, width) - mean[r]) * inv_std[r], d_gain);
      d_bias = d_bias + d;
    }
    store(sums.gain + c, d_gain), store(sums.bias + c, d_bias);
  }
}

template <typename T, typename G>
void backward_columns(const LayerNormBackward& k, Elems first, Elems last) {
  ColumnSums sums;
  const Elems width = last - first;
  Elems n = 0;
  for (; n + column_rows_at_once <= k.x.rows; n += column_rows_at_once)
    add_rows<T, column_rows_at_once>(k, n, first, width, sums);
  for (; n < k.x.rows; ++n) add_rows<T, 1>(k, n, first, width, sums);
  for (Elems c = 0; c < width; c += lanes) {
    if (!k.d_gain.empty()) store_at(k.d_gain.as<G>() + first, load(sums.gain + c), c, width);
    if (!k.d_bias.empty()) store_at(k.d_bias.as<G>() + first, load(sums.bias + c), c, width);
  }
}

void forward(const LayerNormForward& k) {
  with_storage(k.x.type, [&](auto type) {
    using T = decltype(type);
    for_each_block(k.x.rows, 8, [&](Elems first, Elems last, int) {
      for (; first + forward_rows_at_once <= last; first += forward_rows_at_once)
        forward_rows<T, forward_rows_at_once>(k, first);
      for (; first < last; ++first) forward_rows<T, 1>(k, first);
    });
  });
}

template <typename T>
void backward_all_columns(const LayerNormBackward& k) {
  if (k.d_gain.empty() && k.d_bias.empty()) return;
  with_type(k.d_gain.empty() ? k.d_bias.type : k.d_gain.type, [&](auto gradient) {
    for_each_column_run(k.x.cols,
                        [&](Elems first, Elems last, int) { backward_columns<T, decltype(gradient)>(k, first, last); });
  });
}

void backward(const LayerNormBackward& k) {
  with_type(k.x.type, [&](auto type) { backward_all_columns<decltype(type)>(k); });
  with_storage(k.x.type, [&](auto type) {
    using T = decltype(type);
    for_each_block(k.x.rows, 8, [&](Elems first, Elems last, int) {
      for (; first + backward_rows_at_once <= last; first += backward_rows_at_once)
        backward_rows<T, backward_rows_at_once>(k, first);
      for (; first < last; ++first) backward_rows<T, 1>(k, first);
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
  const DType type = k.d_gain.empty() ? k.d_bias.type : k.d_gain.type;
  if (!k.d_gain.empty()) check_vector("layer_norm_backward: d_gain", k.d_gain, type, k.x.cols);
  if (!k.d_bias.empty()) check_vector("layer_norm_backward: d_bias", k.d_bias, type, k.x.cols);
  HWY_DYNAMIC_DISPATCH(backward)(k);
}
}  // namespace trireme
#endif
