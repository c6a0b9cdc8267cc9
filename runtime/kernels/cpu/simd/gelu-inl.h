// GELU, tanh form, on sixteen lanes: x * sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). Included once per target.

#if defined(TRIREME_GELU_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIREME_GELU_INL_H
#undef TRIREME_GELU_INL_H
#else
#define TRIREME_GELU_INL_H
#endif

#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

inline constexpr float gelu_linear = 2 * 0.7978845608f, gelu_cubic = 2 * 0.7978845608f * 0.044715f;

HWY_INLINE F16 gelu(F16 x) { return x * sigmoid(x * fma(x * x, set(gelu_cubic), set(gelu_linear))); }

/// d gelu / dx = s + x s (1 - s) (2u)'.
HWY_INLINE F16 gelu_slope(F16 x) {
  const F16 s = sigmoid(x * fma(x * x, set(gelu_cubic), set(gelu_linear)));
  const F16 inner = fma(x * x, set(3 * gelu_cubic), set(gelu_linear));
  return fma(x * (s * (set(1.0f) - s)), inner, s);
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
