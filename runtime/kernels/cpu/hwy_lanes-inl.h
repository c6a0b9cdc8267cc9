// Sixteen f32 lanes on every Highway target, so that sums have one order and kernels one set of bits.
// Included once per target, between foreach_target.h and HWY_BEFORE_NAMESPACE.

#if defined(TRIREME_HWY_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIREME_HWY_LANES_INL_H
#undef TRIREME_HWY_LANES_INL_H
#else
#define TRIREME_HWY_LANES_INL_H
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstdint>

#include "runtime/base/dtype.h"
#include "runtime/base/units.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr Elems lanes = 16;
using F32 = hn::CappedTag<float, 16>;
using I32 = hn::RebindToSigned<F32>;
using U32 = hn::RebindToUnsigned<F32>;
using U16 = hn::Rebind<std::uint16_t, F32>;
inline constexpr int parts = static_cast<int>(lanes / hn::MaxLanes(F32()));

/// Sixteen floats, in one to four vectors.
struct F16 {
  hn::Vec<F32> part[parts];
};

template <typename Each>
HWY_INLINE F16 map(Each each) {
  F16 out;
  for (int p = 0; p < parts; ++p) out.part[p] = each(p);
  return out;
}

HWY_INLINE F16 set(float x) { return map([&](int) HWY_ATTR { return hn::Set(F32(), x); }); }
HWY_INLINE F16 operator+(F16 a, F16 b) { return map([&](int p) HWY_ATTR { return hn::Add(a.part[p], b.part[p]); }); }
HWY_INLINE F16 operator-(F16 a, F16 b) { return map([&](int p) HWY_ATTR { return hn::Sub(a.part[p], b.part[p]); }); }
HWY_INLINE F16 operator*(F16 a, F16 b) { return map([&](int p) HWY_ATTR { return hn::Mul(a.part[p], b.part[p]); }); }
HWY_INLINE F16 operator/(F16 a, F16 b) { return map([&](int p) HWY_ATTR { return hn::Div(a.part[p], b.part[p]); }); }
HWY_INLINE F16 sqrt(F16 a) { return map([&](int p) HWY_ATTR { return hn::Sqrt(a.part[p]); }); }
/// a unless b is larger (smaller); so a NaN in a stays. Highway's own differ between targets for NaN and for signed zeros.
HWY_INLINE F16 max(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return hn::IfThenElse(hn::Lt(a.part[p], b.part[p]), b.part[p], a.part[p]); });
}
HWY_INLINE F16 min(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return hn::IfThenElse(hn::Lt(b.part[p], a.part[p]), b.part[p], a.part[p]); });
}

HWY_INLINE F16 load(const float* x) {
  return map([&](int p) HWY_ATTR { return hn::LoadU(F32(), x + p * static_cast<int>(hn::MaxLanes(F32()))); });
}
HWY_INLINE void store(float* x, F16 a) {
  for (int p = 0; p < parts; ++p) hn::StoreU(a.part[p], F32(), x + p * static_cast<int>(hn::MaxLanes(F32())));
}

/// a * b + c, rounded once. Targets without the instruction go lane by lane.
HWY_INLINE F16 fma(F16 a, F16 b, F16 c) {
#if HWY_TARGET <= HWY_AVX2
  return map([&](int p) HWY_ATTR { return hn::MulAdd(a.part[p], b.part[p], c.part[p]); });
#else
  float x[lanes], y[lanes], z[lanes];
  store(x, a), store(y, b), store(z, c);
  for (int i = 0; i < lanes; ++i) z[i] = std::fma(x[i], y[i], z[i]);
  return load(z);
#endif
}

HWY_INLINE F16 load(const bf16* x) {
  return map([&](int p) HWY_ATTR {
    const auto* at = reinterpret_cast<const std::uint16_t*>(x) + p * static_cast<int>(hn::MaxLanes(F32()));
    return hn::BitCast(F32(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), hn::LoadU(U16(), at))));
  });
}
/// Rounds as to_bf16() does.
HWY_INLINE void store(bf16* x, F16 a) {
  const U32 u32;
  for (int p = 0; p < parts; ++p) {
    const auto u = hn::BitCast(u32, a.part[p]);
    const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(u32, 1));
    auto rounded = hn::ShiftRight<16>(hn::Add(u, hn::Add(odd, hn::Set(u32, 0x7fff))));
    const auto exponent = hn::And(u, hn::Set(u32, 0x7f800000u));
    const auto magnitude = hn::And(u, hn::Set(u32, 0x7fffffffu));
    const auto is_nan = hn::Gt(magnitude, hn::Set(u32, 0x7f800000u));
    const auto quiet = hn::Or(hn::ShiftRight<16>(u), hn::Set(u32, 0x40));
    const auto zero = hn::And(hn::ShiftRight<16>(u), hn::Set(u32, 0x8000));
    rounded = hn::IfThenElse(is_nan, quiet, rounded);
    rounded = hn::IfThenElse(hn::Eq(exponent, hn::Zero(u32)), zero, rounded);
    auto* at = reinterpret_cast<std::uint16_t*>(x) + p * static_cast<int>(hn::MaxLanes(F32()));
    hn::StoreU(hn::DemoteTo(U16(), hn::BitCast(I32(), rounded)), U16(), at);
  }
}

/// The first n < 16 elements; the other lanes hold `fill`. Out of line, to keep the loops that call it small.
template <typename T>
HWY_NOINLINE F16 load_tail(const T* x, Elems n, float fill = 0) {
  float all[lanes];
  for (Elems i = 0; i < lanes; ++i) {
    if constexpr (sizeof(T) == 2) all[i] = i < n ? to_f32(x[i]) : fill;
    else all[i] = i < n ? x[i] : fill;
  }
  return load(all);
}
template <typename T>
HWY_NOINLINE void store_tail(T* x, F16 a, Elems n) {
  float all[lanes];
  store(all, a);
  for (Elems i = 0; i < n; ++i) {
    if constexpr (sizeof(T) == 2) x[i] = to_bf16(all[i]);
    else x[i] = all[i];
  }
}
/// Elements [i, i + 16) of a row of `n`, as many as there are.
template <typename T>
HWY_INLINE F16 load_at(const T* x, Elems i, Elems n, float fill = 0) {
  return n - i >= lanes ? load(x + i) : load_tail(x + i, n - i, fill);
}
template <typename T>
HWY_INLINE void store_at(T* x, F16 a, Elems i, Elems n) {
  if (n - i >= lanes) store(x + i, a);
  else store_tail(x + i, a, n - i);
}

/// A value as it will be read back from storage of type T.
template <typename T>
HWY_INLINE F16 rounded(F16 a) {
  if constexpr (sizeof(T) == 4) return a;
  bf16 stored[lanes];
  store(stored, a);
  return load(stored);
}

/// Sums and maxima over the lanes by one fixed tree: halves onto halves.
HWY_INLINE float sum(F16 a) {
  float x[lanes];
  store(x, a);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}
HWY_INLINE float largest(F16 a) {
  float x[lanes];
  store(x, a);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] = x[i] < x[i + half] ? x[i + half] : x[i];
  return x[0];
}

/// 2^x: nearest integer to the exponent, a polynomial of degree 5 for the rest (7.5e-8 relative). x is cut to
/// [-126, 127], so results stay normal numbers. NaN gives NaN.
HWY_INLINE F16 exp2(F16 x) {
  x = min(max(x, set(-126.0f)), set(127.0f));
  // Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits: one rule on every target, where
  // Highway's Round has two (the scalar one takes 0.49999997 to 1).
  constexpr float to_integer = 12582912.0f;
  const F16 shifted = x + set(to_integer);
  const F16 f = x - (shifted - set(to_integer));
  F16 y = fma(f, set(0.00132764725f), set(0.00967554096f));
  y = fma(y, f, set(0.0555071309f));
  y = fma(y, f, set(0.240221202f));
  y = fma(y, f, set(0.693146944f));
  y = fma(y, f, set(1.00000012f));
  const F16 scale = map([&](int p) HWY_ATTR {
    const auto integer = hn::Sub(hn::BitCast(U32(), shifted.part[p]), hn::Set(U32(), 0x4b400000u - 127u));
    return hn::BitCast(F32(), hn::ShiftLeft<23>(integer));
  });
  return y * scale;
}
HWY_INLINE F16 exp(F16 x) { return exp2(x * set(1.44269504f)); }
HWY_INLINE F16 sigmoid(F16 x) { return set(1.0f) / (set(1.0f) + exp(set(0.0f) - x)); }

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
