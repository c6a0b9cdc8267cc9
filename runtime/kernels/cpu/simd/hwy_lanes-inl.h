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
inline constexpr int part_lanes = static_cast<int>(hn::MaxLanes(F32())), parts = static_cast<int>(lanes) / part_lanes;

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

HWY_INLINE F16 set(float x) {
  return map([&](int) HWY_ATTR { return hn::Set(F32(), x); });
}
HWY_INLINE F16 operator+(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return hn::Add(a.part[p], b.part[p]); });
}
HWY_INLINE F16 operator-(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return hn::Sub(a.part[p], b.part[p]); });
}
HWY_INLINE F16 operator*(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return hn::Mul(a.part[p], b.part[p]); });
}
HWY_INLINE F16 operator/(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return hn::Div(a.part[p], b.part[p]); });
}
HWY_INLINE F16 sqrt(F16 a) {
  return map([&](int p) HWY_ATTR { return hn::Sqrt(a.part[p]); });
}
/// a unless b is larger (smaller); so a NaN in a stays. Highway's own differ between targets for NaN and for signed
/// zeros; with the operands in this order x86 has one instruction for it.
template <typename V>
HWY_INLINE V larger(V a, V b) {
#if HWY_TARGET <= HWY_AVX2
  return hn::Max(b, a);
#else
  return hn::IfThenElse(hn::Lt(a, b), b, a);
#endif
}
template <typename V>
HWY_INLINE V smaller(V a, V b) {
#if HWY_TARGET <= HWY_AVX2
  return hn::Min(b, a);
#else
  return hn::IfThenElse(hn::Lt(b, a), b, a);
#endif
}
HWY_INLINE F16 max(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return larger(a.part[p], b.part[p]); });
}
HWY_INLINE F16 min(F16 a, F16 b) {
  return map([&](int p) HWY_ATTR { return smaller(a.part[p], b.part[p]); });
}

HWY_INLINE F16 load(const float* x) {
  return map([&](int p) HWY_ATTR { return hn::LoadU(F32(), x + p * part_lanes); });
}
HWY_INLINE void store(float* x, F16 a) {
  for (int p = 0; p < parts; ++p) hn::StoreU(a.part[p], F32(), x + p * part_lanes);
}
/// Past the caches (streaming.h): x is aligned to 64 bytes, and hwy::FlushStream() follows before anybody is told.
HWY_INLINE void stream(float* x, F16 a) {
  for (int p = 0; p < parts; ++p) hn::Stream(a.part[p], F32(), x + p * part_lanes);
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

/// One fixed tree over the lanes: halves onto halves.
template <typename D, typename Combine>
HWY_INLINE float fold_vector(D, hn::Vec<D> x, [[maybe_unused]] Combine combine) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (hn::MaxLanes(D()) > 1) {
    const hn::Half<D> half;
    return fold_vector(half, combine(hn::LowerHalf(half, x), hn::UpperHalf(half, x)), combine);
  }
#endif
  return hn::GetLane(x);
}
template <typename Combine>
HWY_INLINE float fold(F16 a, Combine combine) {
  for (int half = parts / 2; half > 0; half /= 2)
    for (int p = 0; p < half; ++p) a.part[p] = combine(a.part[p], a.part[p + half]);
  return fold_vector(F32(), a.part[0], combine);
}
HWY_INLINE float sum(F16 a) {
  return fold(a, [](auto low, auto high) HWY_ATTR { return hn::Add(low, high); });
}
HWY_INLINE float largest(F16 a) {
  return fold(a, [](auto low, auto high) HWY_ATTR { return larger(low, high); });
}

/// 2^x for x in [-126, 127], or NaN: nearest integer to the exponent, a polynomial of degree 5 for the rest (7.5e-8
/// relative).
HWY_INLINE F16 exp2_within(F16 x) {
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
/// x is cut to [-126, 127], so results stay normal numbers. NaN gives NaN.
HWY_INLINE F16 exp2(F16 x) { return exp2_within(min(max(x, set(-126.0f)), set(127.0f))); }
/// The same for x that is at most 127 as it is.
HWY_INLINE F16 exp2_of_negative(F16 x) { return exp2_within(max(x, set(-126.0f))); }
HWY_INLINE F16 exp(F16 x) { return exp2(x * set(1.44269504f)); }
HWY_INLINE F16 sigmoid(F16 x) { return set(1.0f) / (set(1.0f) + exp2(x * set(-1.44269504f))); }

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#include "runtime/kernels/cpu/simd/hwy_storage-inl.h"

#endif  // per-target include guard
