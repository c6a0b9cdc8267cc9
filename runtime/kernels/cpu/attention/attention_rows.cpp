#include "runtime/kernels/cpu/attention/attention_rows.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/attention/attention_rows.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>

#include "runtime/base/natural_log.h"
#include "runtime/kernels/cpu/attention/attention_products.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
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
// Lanes before n become `other`.
HWY_INLINE F16 from_lane(F16 x, Elems n, float other = 0) {
  if (n <= 0) return x;
  float all[lanes];
  store(all, x);
  for (Elems i = 0; i < std::min(n, lanes); ++i) all[i] = other;
  return load(all);
}

template <typename T>
HWY_INLINE void soften_row(const SoftenRows<T>& k, Elems r) {
  const float* scores = k.scores + r * k.stride;
  T* p = k.p + r * k.stride;
  SoftmaxState& state = k.state[r];
  const Elems valid = std::min(k.first_valid + r, k.cols);
  const Elems padded = align_up(std::min(k.first_valid + (r | (k.group - 1)), k.cols), 2);
  const Elems first = k.starts ? std::max<Elems>(k.starts[r] - k.key, 0) : 0,
              before = std::min(first, padded) / lanes * lanes;
  for (Elems i = 0; i < before; i += lanes) store_at(p, set(0), i, padded);
  if (first >= valid) {
    for (Elems i = before; i < padded; i += lanes) store_at(p, set(0), i, padded);
    return;
  }
  F16 top = set(-3e38f);
  for (Elems i = before; i < valid; i += lanes)
    top = max(top, from_lane(load_at(scores, i, valid, -3e38f), first - i, -3e38f));
  const float maximum = std::max(state.maximum, largest(top) * k.scale);
  float all[lanes];
  store(all, exp2(set(state.maximum - maximum)));
  const float factor = k.is_first ? 0 : all[0];
  F16 total = set(0);
  Elems i = before;
  for (; i < valid; i += lanes) {
    const F16 e =
        from_lane(first_lanes(exp2(fma(load_at(scores, i, valid), set(k.scale), set(-maximum))), valid - i), first - i);
    total = total + e;
    store_at(p, e, i, padded);
  }
  for (; i < padded; i += lanes) store_at(p, set(0), i, padded);
  state = {maximum, state.sum * factor + sum(total)};
  float* mixed = k.mixed + r * k.width;
  if (!k.is_first)
    for (Elems c = 0; c < k.width; c += lanes) store(mixed + c, load(mixed + c) * set(factor));
}

void soften_bf16(const SoftenRows<bf16>& k) {
  for (Elems r = 0; r < k.rows; ++r) soften_row(k, r);
}
void soften_f32(const SoftenRows<float>& k) {
  for (Elems r = 0; r < k.rows; ++r) soften_row(k, r);
}

template <typename T>
HWY_INLINE void store_all(const StoreRows<T>& k) {
  for (Elems r = 0; r < k.count; ++r)
    for (Elems i = 0; i < k.cols; i += lanes)
      store_at(k.out + r * k.stride, load(k.rows + r * k.width + i) * set(k.factors[r]), i, k.cols);
}
void store_bf16(const StoreRows<bf16>& k) { store_all(k); }
void store_f32(const StoreRows<float>& k) { store_all(k); }

template <typename T>
HWY_INLINE void gradient_row(const GradientRows<T>& k, Elems r) {
  const float *scores = k.scores + r * k.scores_stride, *d_probabilities = k.d_probabilities + r * k.scores_stride;
  T *p = k.p + r * k.stride, *ds = k.ds + r * k.stride;
  const bool exists = r < k.valid_rows;
  const Elems end = exists && k.ends ? std::clamp<Elems>(k.ends[r] - k.query, 0, k.cols) : k.cols;
  const Elems first = exists ? std::clamp<Elems>(r - k.diagonal, 0, k.cols) : k.cols;
  for (Elems i = 0; i < align_up(k.cols, 32); i += lanes) {
    F16 probability = set(0), gradient = set(0);
    if (i + lanes > first && i < end) {
      const F16 exponent = fma(load(scores + i), set(k.scale), set(0) - load_at(k.log_sum_exp, i, k.cols));
      probability = from_lane(first_lanes(exp2(exponent), end - i), first - i);
      gradient = probability * (load(d_probabilities + i) - load_at(k.delta, i, k.cols));
      gradient = from_lane(first_lanes(gradient, end - i), first - i);
    }
    store(p + i, probability);
    store(ds + i, gradient);
  }
}

void gradients_bf16(const GradientRows<bf16>& k) {
  for (Elems r = 0; r < k.rows; ++r) gradient_row(k, r);
}
void gradients_f32(const GradientRows<float>& k) {
  for (Elems r = 0; r < k.rows; ++r) gradient_row(k, r);
}

void dot_any(const ConstView& a, const ConstView& b, float* sums) {
  with_type(a.type, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (Elems r = 0; r < a.rows; ++r) {
      const T *x = a.as<T>() + r * a.row_stride, *y = b.as<T>() + r * b.row_stride;
      F16 total = set(0);
      for (Elems i = 0; i < a.cols; i += lanes) total = fma(load_at(x, i, a.cols), load_at(y, i, a.cols), total);
      sums[r] = sum(total);
    }
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::cpu {
HWY_EXPORT(soften_bf16);
HWY_EXPORT(soften_f32);
HWY_EXPORT(gradients_bf16);
HWY_EXPORT(gradients_f32);
HWY_EXPORT(store_bf16);
HWY_EXPORT(store_f32);
HWY_EXPORT(dot_any);

template <>
AttentionRows<bf16> attention_rows<bf16>() {
  if (has_avx512_bf16()) return attention_rows_avx512_bf16();
  return {.soften = HWY_DYNAMIC_DISPATCH(soften_bf16),
          .gradients = HWY_DYNAMIC_DISPATCH(gradients_bf16),
          .store = HWY_DYNAMIC_DISPATCH(store_bf16)};
}
template <>
AttentionRows<float> attention_rows<float>() {
  return {.soften = HWY_DYNAMIC_DISPATCH(soften_f32),
          .gradients = HWY_DYNAMIC_DISPATCH(gradients_f32),
          .store = HWY_DYNAMIC_DISPATCH(store_f32)};
}

void dot_rows(const ConstView& a, const ConstView& b, float* sums) { HWY_DYNAMIC_DISPATCH(dot_any)(a, b, sums); }

float log_sum(const SoftmaxState& state) {
  return static_cast<float>(state.maximum + natural_log(state.sum) * 1.44269504088896341);
}

}  // namespace trireme::cpu
#endif
