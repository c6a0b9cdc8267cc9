#include "runtime/kernels/adamw.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/adamw.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

/// The scalars of a step, rounded to f32 once.
struct Scalars {
  F16 scale, keep, one_minus_beta1, beta2, one_minus_beta2, rate, root, eps;
};

Scalars scalars_of(const AdamW& k) {
  const auto f = [](double x) { return set(static_cast<float>(x)); };
  return {.scale = f(k.gradient_scale),
          .keep = f(1 - k.learning_rate * k.weight_decay),
          .one_minus_beta1 = f(1 - k.beta1),
          .beta2 = f(k.beta2),
          .one_minus_beta2 = f(1 - k.beta2),
          .rate = f(k.learning_rate / k.correction1),
          .root = f(std::sqrt(k.correction2)),
          .eps = f(k.eps)};
}

void check(const AdamW& k) {
  const Elems n = k.master.elems();
  check_vector("adamw: master", k.master, DType::f32, n);
  check_vector("adamw: m", k.m, DType::f32, n);
  check_vector("adamw: v", k.v, DType::f32, n);
  check_vector("adamw: gradient", k.gradient, DType::f32, n);
  if (!k.exported.empty()) check_vector("adamw: exported", k.exported, DType::bf16, n);
}

template <typename Exported>
void update(const AdamW& k, Exported* exported) {
  const Scalars s = scalars_of(k);
  float* const master = k.master.as<float>();
  float* const moment1 = k.m.as<float>();
  float* const moment2 = k.v.as<float>();
  const float* const gradient = k.gradient.as<float>();
  for_each_block(k.master.elems(), elementwise_block, [&](Elems first, Elems last, int) HWY_ATTR {
    for (Elems i = first; i < last; i += lanes) {
      const F16 g = load_at(gradient, i, last) * s.scale;
      F16 m = load_at(moment1, i, last), v = load_at(moment2, i, last), p = load_at(master, i, last);
      p = p * s.keep;
      m = fma(g - m, s.one_minus_beta1, m);
      v = fma(g * g, s.one_minus_beta2, v * s.beta2);
      p = p - s.rate * (m / (sqrt(v) / s.root + s.eps));
      store_at(moment1, m, i, last);
      store_at(moment2, v, i, last);
      store_at(master, p, i, last);
      if (exported) store_at(exported, p, i, last);
    }
  });
}

void adamw_all(const AdamW& k) {
  check(k);
  with_storage(DType::bf16, [&](auto type) {
    using T = decltype(type);
    update<T>(k, k.exported.empty() ? nullptr : k.exported.as<T>());
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(adamw_all);
}  // namespace cpu

void adamw(const AdamW& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(adamw_all)(k);
}
}  // namespace trireme
#endif
