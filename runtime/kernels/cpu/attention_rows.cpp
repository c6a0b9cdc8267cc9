#include "runtime/kernels/cpu/attention_rows.h"

#include "runtime/kernels/cpu/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/attention_rows.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>

#include "runtime/base/natural_log.h"
#include "runtime/kernels/cpu/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Lanes from n on become zero.
HWY_INLINE F16 first_lanes(F16 x, Elems n) {
  if (n >= lanes) return x;
  float all[lanes];
  store(all, x);
  for (Elems i = std::max<Elems>(n, 0); i < lanes; ++i) all[i] = 0;
  return load(all);
}

template <typename T>
float soften_row(const float* scores, Elems valid, Elems padded, float scale, SoftmaxState& state, T* p) {
  F16 top = set(-3e38f);
  for (Elems i = 0; i < valid; i += lanes) top = max(top, load_at(scores, i, valid, -3e38f));
  const float maximum = std::max(state.maximum, largest(top) * scale);
  float factor = 0;
  store_tail(&factor, exp2(set(state.maximum - maximum)), 1);
  if (state.sum == 0) factor = 0;  // nothing came before
  F16 total = set(0);
  Elems i = 0;
  for (; i < valid; i += lanes) {
    const F16 e = first_lanes(exp2(fma(load_at(scores, i, valid), set(scale), set(-maximum))), valid - i);
    total = total + e;
    store_at(p, e, i, padded);
  }
  for (; i < padded; i += lanes) store_at(p, set(0), i, padded);
  state = {maximum, state.sum * factor + sum(total)};
  return factor;
}

float soften_any(const float* scores, Elems valid, Elems padded, float scale, SoftmaxState& state, const View& p) {
  if (p.type == DType::f32) return soften_row(scores, valid, padded, scale, state, p.as<float>());
  return soften_row(scores, valid, padded, scale, state, p.as<bf16>());
}

void scale_any(float* row, Elems n, float factor) {
  for (Elems i = 0; i < n; i += lanes) store_at(row, load_at(row, i, n) * set(factor), i, n);
}

void store_any(const float* row, float factor, const View& out) {
  with_type(out.type, [&](auto type) HWY_ATTR {
    for (Elems i = 0; i < out.cols; i += lanes)
      store_at(out.as<decltype(type)>(), load_at(row, i, out.cols) * set(factor), i, out.cols);
  });
}

template <typename T>
void gradient_row(const ScoreGradient& k) {
  T *p = k.p.as<T>(), *ds = k.ds.as<T>();
  Elems i = 0;
  for (; i < k.valid; i += lanes) {
    const F16 exponent = fma(load_at(k.scores, i, k.valid), set(k.scale), set(-k.log_sum_exp));
    const F16 probability = first_lanes(exp2(exponent), k.valid - i);
    store_at(p, probability, i, k.padded);
    store_at(ds, probability * (load_at(k.d_probabilities, i, k.valid) - set(k.delta)), i, k.padded);
  }
  for (; i < k.padded; i += lanes) {
    store_at(p, set(0), i, k.padded);
    store_at(ds, set(0), i, k.padded);
  }
}

void gradient_any(const ScoreGradient& k) {
  with_type(k.p.type, [&](auto type) { gradient_row<decltype(type)>(k); });
}

float dot_any(const ConstView& a, const ConstView& b) {
  F16 total = set(0);
  with_type(a.type, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (Elems i = 0; i < a.cols; i += lanes)
      total = fma(load_at(a.as<T>(), i, a.cols), load_at(b.as<T>(), i, a.cols), total);
  });
  return sum(total);
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::cpu {
HWY_EXPORT(soften_any);
HWY_EXPORT(scale_any);
HWY_EXPORT(store_any);
HWY_EXPORT(gradient_any);
HWY_EXPORT(dot_any);

float soften(const float* scores, Elems valid, Elems padded, float scale, SoftmaxState& state, View p) {
  return HWY_DYNAMIC_DISPATCH(soften_any)(scores, valid, padded, scale, state, p);
}
void scale_row(float* row, Elems n, float factor) { HWY_DYNAMIC_DISPATCH(scale_any)(row, n, factor); }
void store_row(const float* row, float factor, View out) { HWY_DYNAMIC_DISPATCH(store_any)(row, factor, out); }
void score_gradient(const ScoreGradient& k) { HWY_DYNAMIC_DISPATCH(gradient_any)(k); }
float dot_row(ConstView a, ConstView b) { return HWY_DYNAMIC_DISPATCH(dot_any)(a, b); }

float log_sum(const SoftmaxState& state) {
  return static_cast<float>(state.maximum + natural_log(state.sum) * 1.44269504088896341);
}

}  // namespace trireme::cpu
#endif
