#include "runtime/kernels/rms_norm.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/rms_norm.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/column_runs.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Rows go together, so that their sums, one chain each, do not wait for one another; and the chains of a run of
// channels take as many rows from registers.
constexpr int rows_at_once = 4;

/// Run number `run` of the view's runs of `channels`: those of a row one behind the other.
template <typename T, typename Pointer>
HWY_INLINE auto run_of(const BasicView<Pointer>& view, Elems run, Elems channels) {
  if (view.cols == channels) return row_of<T>(view, run);
  const Elems runs = view.cols / channels;
  return row_of<T>(view, run / runs) + run % runs * channels;
}

template <typename T, int rows>
void forward_rows(const RmsNormForward& k, Elems first) {
  const Elems channels = k.gain.cols;
  const T *x[rows], *gain = k.gain.as<T>();
  T* out[rows];
  F16 squares[rows], inv_rms[rows];
  for (int r = 0; r < rows; ++r) {
    x[r] = run_of<T>(k.x, first + r, channels), out[r] = run_of<T>(k.out, first + r, channels);
    squares[r] = set(0);
  }
  for (Elems c = 0; c < channels; c += lanes)
    for (int r = 0; r < rows; ++r) {
      const F16 value = load_at(x[r], c, channels);
      squares[r] = fma(value, value, squares[r]);
    }
  float* const inverses = k.inv_rms.as<float>() + first;
  for (int r = 0; r < rows; ++r)
    inv_rms[r] = set(inverses[r] = 1.0f / std::sqrt(sum(squares[r]) / static_cast<float>(channels) + k.eps));
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 g = load_at(gain, c, channels);
    for (int r = 0; r < rows; ++r) store_at(out[r], load_at(x[r], c, channels) * inv_rms[r] * g, c, channels);
  }
}

template <typename T, int rows>
void backward_rows(const RmsNormBackward& k, Elems first) {
  const Elems channels = k.gain.cols;
  const T *x[rows], *d_out[rows], *residual[rows], *gain = k.gain.as<T>();
  T* d_x[rows];
  F16 inv_rms[rows], dot[rows], mean_dot[rows];
  for (int r = 0; r < rows; ++r) {
    const Elems n = first + r;
    x[r] = run_of<T>(k.x, n, channels), d_out[r] = run_of<T>(k.d_out, n, channels);
    d_x[r] = run_of<T>(k.d_x, n, channels);
    residual[r] = k.d_residual.empty() ? nullptr : run_of<T>(k.d_residual, n, channels);
    inv_rms[r] = set(k.inv_rms.as<float>()[n]);
    dot[r] = set(0);
  }
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 g = load_at(gain, c, channels);
    for (int r = 0; r < rows; ++r)
      dot[r] = fma(load_at(d_out[r], c, channels) * g, load_at(x[r], c, channels) * inv_rms[r], dot[r]);
  }
  for (int r = 0; r < rows; ++r) mean_dot[r] = set(sum(dot[r]) / static_cast<float>(channels));
  for (Elems c = 0; c < channels; c += lanes) {
    const F16 g = load_at(gain, c, channels);
    for (int r = 0; r < rows; ++r) {
      const F16 d = load_at(d_out[r], c, channels) * g;
      F16 out = inv_rms[r] * (d - load_at(x[r], c, channels) * inv_rms[r] * mean_dot[r]);
      if (residual[r]) out = load_at(residual[r], c, channels) + out;
      store_at(d_x[r], out, c, channels);
    }
  }
}

template <typename T, int rows>
void add_rows(const RmsNormBackward& k, Elems n, Elems first, Elems width, float* sums) {
  const T *d_out[rows], *x[rows];
  F16 inv_rms[rows];
  for (int r = 0; r < rows; ++r) {
    d_out[r] = run_of<T>(k.d_out, n + r, k.gain.cols) + first, x[r] = run_of<T>(k.x, n + r, k.gain.cols) + first;
    inv_rms[r] = set(k.inv_rms.as<float>()[n + r]);
  }
  for (Elems c = 0; c < width; c += lanes) {
    F16 d_gain = load(sums + c);
    for (int r = 0; r < rows; ++r)
      d_gain = fma(load_at(d_out[r], c, width), load_at(x[r], c, width) * inv_rms[r], d_gain);
    store(sums + c, d_gain);
  }
}

// Channels [first, last): one chain over the tokens each.
template <typename T, typename G>
void backward_columns(const RmsNormBackward& k, Elems first, Elems last) {
  alignas(64) float sums[widest_run] = {};
  const Elems width = last - first;
  const Elems rows = k.inv_rms.elems();
  Elems n = 0;
  for (; n + rows_at_once <= rows; n += rows_at_once) add_rows<T, rows_at_once>(k, n, first, width, sums);
  for (; n < rows; ++n) add_rows<T, 1>(k, n, first, width, sums);
  for (Elems c = 0; c < width; c += lanes) store_at(k.d_gain.as<G>() + first, load(sums + c), c, width);
}

void forward(const RmsNormForward& k) {
  with_storage(k.x.type, [&](auto type) {
    using T = decltype(type);
    for_each_block(k.inv_rms.elems(), 8, [&](Elems first, Elems last, int) {
      for (; first + rows_at_once <= last; first += rows_at_once) forward_rows<T, rows_at_once>(k, first);
      for (; first < last; ++first) forward_rows<T, 1>(k, first);
    });
  });
}

template <typename T>
void backward_all_columns(const RmsNormBackward& k) {
  if (k.d_gain.empty()) return;
  with_type(k.d_gain.type, [&](auto gradient) {
    for_each_column_run(k.gain.cols,
                        [&](Elems first, Elems last, int) { backward_columns<T, decltype(gradient)>(k, first, last); });
  });
}

void backward(const RmsNormBackward& k) {
  with_type(k.x.type, [&](auto type) { backward_all_columns<decltype(type)>(k); });
  with_storage(k.x.type, [&](auto type) {
    using T = decltype(type);
    for_each_block(k.inv_rms.elems(), 8, [&](Elems first, Elems last, int) {
      for (; first + rows_at_once <= last; first += rows_at_once) backward_rows<T, rows_at_once>(k, first);
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

void check_gain(const char* what, const ConstView& gain, const ConstView& x) {
  ensure(gain.cols > 0 && x.cols % gain.cols == 0, "{} has {} channels, of rows with {}", what, gain.cols, x.cols);
  check_vector(what, gain, x.type, gain.cols);
}
}  // namespace cpu

void rms_norm_forward(const RmsNormForward& k) {
  using namespace cpu;
  check_matrix("rms_norm_forward: out", k.out, k.x.type, k.x.rows, k.x.cols);
  check_gain("rms_norm_forward: gain", k.gain, k.x);
  check_vector("rms_norm_forward: inv_rms", k.inv_rms, DType::f32, k.x.elems() / k.gain.cols);
  HWY_DYNAMIC_DISPATCH(forward)(k);
}
void rms_norm_backward(const RmsNormBackward& k) {
  using namespace cpu;
  check_matrix("rms_norm_backward: d_out", k.d_out, k.x.type, k.x.rows, k.x.cols);
  check_matrix("rms_norm_backward: d_x", k.d_x, k.x.type, k.x.rows, k.x.cols);
  if (!k.d_residual.empty()) check_matrix("rms_norm_backward: d_residual", k.d_residual, k.x.type, k.x.rows, k.x.cols);
  check_gain("rms_norm_backward: gain", k.gain, k.x);
  check_vector("rms_norm_backward: inv_rms", k.inv_rms, DType::f32, k.x.elems() / k.gain.cols);
  if (!k.d_gain.empty()) check_vector("rms_norm_backward: d_gain", k.d_gain, k.d_gain.type, k.gain.cols);
  HWY_DYNAMIC_DISPATCH(backward)(k);
}
}  // namespace trireme
#endif
