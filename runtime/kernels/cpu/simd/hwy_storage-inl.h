// Sixteen f32 lanes from and to storage: bf16 and its rounding, and the ends of rows. Included once per target, by
// hwy_lanes-inl.h.

#if defined(TRIREME_HWY_STORAGE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIREME_HWY_STORAGE_INL_H
#undef TRIREME_HWY_STORAGE_INL_H
#else
#define TRIREME_HWY_STORAGE_INL_H
#endif

#include <algorithm>
#include <type_traits>

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/simd/hardware_bf16.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

using U16 = hn::Rebind<std::uint16_t, F32>;

/// Calls body(T()) with the T that elements of `type` are stored as on this CPU: float, bf16 or HardwareBf16.
template <typename Body>
HWY_INLINE void with_storage(DType type, Body&& body) {
#if HWY_TARGET == HWY_AVX3
  if (type == DType::bf16 && has_avx512_bf16()) return body(HardwareBf16());
#endif
  with_type(type, body);
}

HWY_INLINE F16 load(const bf16* x) {
  return map([&](int p) HWY_ATTR {
    const auto* at = reinterpret_cast<const std::uint16_t*>(x) + p * part_lanes;
    return hn::BitCast(F32(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), hn::LoadU(U16(), at))));
  });
}

/// Of sixteen pairs of bf16, the first and the second of each: the lower and the upper half of its bits.
HWY_INLINE F16 low_halves(const std::uint32_t* pairs) {
  return map([&](int p)
                 HWY_ATTR { return hn::BitCast(F32(), hn::ShiftLeft<16>(hn::LoadU(U32(), pairs + p * part_lanes))); });
}
HWY_INLINE F16 high_halves(const std::uint32_t* pairs) {
  return map([&](int p) HWY_ATTR {
    return hn::BitCast(F32(), hn::And(hn::LoadU(U32(), pairs + p * part_lanes), hn::Set(U32(), 0xffff0000u)));
  });
}

/// The upper half of each element is what to_bf16() gives; the lower one may be anything.
HWY_INLINE hn::Vec<U32> rounded_bits(hn::Vec<F32> x) {
  const U32 u32;
  const auto u = hn::BitCast(u32, x);
  const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(u32, 1));
  const auto rounded = hn::Add(u, hn::Add(odd, hn::Set(u32, 0x7fff)));
  const auto quiet = hn::Or(u, hn::Set(u32, 0x400000));
  const auto zero = hn::And(u, hn::Set(u32, 0x80000000u));
  const auto is_number = hn::RebindMask(u32, hn::Eq(x, x));
  const auto is_tiny = hn::Eq(hn::And(u, hn::Set(u32, 0x7f800000)), hn::Zero(u32));
  return hn::IfThenElse(is_tiny, zero, hn::IfThenElse(is_number, rounded, quiet));
}
HWY_INLINE hn::Vec<U16> to_bf16_lanes(hn::Vec<F32> x) {
  return hn::DemoteTo(U16(), hn::BitCast(I32(), hn::ShiftRight<16>(rounded_bits(x))));
}
/// Rounds as to_bf16() does.
HWY_INLINE void store(bf16* x, F16 a) {
  for (int p = 0; p < parts; ++p)
    hn::StoreU(to_bf16_lanes(a.part[p]), U16(), reinterpret_cast<std::uint16_t*>(x) + p * part_lanes);
}

/// A value as it will be read back from storage of type T.
template <typename T>
HWY_INLINE F16 rounded(F16 a) {
  if constexpr (sizeof(T) == 4) return a;
  return map([&](int p) HWY_ATTR {
    return hn::BitCast(F32(), hn::And(rounded_bits(a.part[p]), hn::Set(U32(), 0xffff0000u)));
  });
}

#if HWY_TARGET == HWY_AVX3

// As assembly, because the target has no such intrinsic: most CPUs of this target lack the instruction.
HWY_INLINE hn::Vec<U16> to_bf16_by_hardware(F16 a) {
  hn::Vec<U16> out;
  asm("vcvtneps2bf16 %1, %0" : "=v"(out.raw) : "v"(a.part[0].raw));
  return out;
}
HWY_INLINE void store(HardwareBf16* x, F16 a) {
  hn::StoreU(to_bf16_by_hardware(a), U16(), reinterpret_cast<std::uint16_t*>(x));
}
template <>
HWY_INLINE F16 rounded<HardwareBf16>(F16 a) {
  return F16{{hn::BitCast(F32(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), to_bf16_by_hardware(a))))}};
}

/// The first n < 16 elements; the other lanes hold `fill`.
HWY_INLINE F16 load_tail(const float* x, Elems n, float fill = 0) {
  const auto there = hn::FirstN(F32(), static_cast<std::size_t>(n));
  return F16{{hn::IfThenElse(there, hn::MaskedLoad(there, F32(), x), hn::Set(F32(), fill))}};
}
HWY_INLINE F16 load_tail(const bf16* x, Elems n, float fill = 0) {
  const auto there = hn::FirstN(U16(), static_cast<std::size_t>(n));
  const auto wide = hn::PromoteTo(U32(), hn::MaskedLoad(there, U16(), reinterpret_cast<const std::uint16_t*>(x)));
  return F16{{hn::IfThenElse(hn::FirstN(F32(), static_cast<std::size_t>(n)),
                             hn::BitCast(F32(), hn::ShiftLeft<16>(wide)), hn::Set(F32(), fill))}};
}
HWY_INLINE void store_tail(float* x, F16 a, Elems n) {
  hn::BlendedStore(a.part[0], hn::FirstN(F32(), static_cast<std::size_t>(n)), F32(), x);
}
template <typename T>
HWY_INLINE void store_tail(T* x, F16 a, Elems n) {
  hn::Vec<U16> stored;
  if constexpr (std::is_same_v<T, HardwareBf16>)
    stored = to_bf16_by_hardware(a);
  else
    stored = to_bf16_lanes(a.part[0]);
  hn::BlendedStore(stored, hn::FirstN(U16(), static_cast<std::size_t>(n)), U16(), reinterpret_cast<std::uint16_t*>(x));
}

#else

/// The first n < 16 elements; the other lanes hold `fill`. Out of line, to keep the loops that call it small.
template <typename T>
HWY_NOINLINE F16 load_tail(const T* x, Elems n, float fill = 0) {
  float all[lanes];
  for (Elems i = 0; i < lanes; ++i) {
    if constexpr (sizeof(T) == 2)
      all[i] = i < n ? to_f32(x[i]) : fill;
    else
      all[i] = i < n ? x[i] : fill;
  }
  return load(all);
}
template <typename T>
HWY_NOINLINE void store_tail(T* x, F16 a, Elems n) {
  float all[lanes];
  store(all, a);
  for (Elems i = 0; i < n; ++i) {
    if constexpr (sizeof(T) == 2)
      x[i] = to_bf16(all[i]);
    else
      x[i] = all[i];
  }
}

#endif

/// Elements [i, i + 16) of a row of `n`, as many as there are.
template <typename T>
HWY_INLINE F16 load_at(const T* x, Elems i, Elems n, float fill = 0) {
  return n - i >= lanes ? load(x + i) : load_tail(x + i, n - i, fill);
}
template <typename T>
HWY_INLINE void store_at(T* x, F16 a, Elems i, Elems n) {
  if (n - i >= lanes)
    store(x + i, a);
  else
    store_tail(x + i, a, n - i);
}
/// Row `row` of a view, as T. Its type was checked.
template <typename T, typename Pointer>
HWY_INLINE auto row_of(const BasicView<Pointer>& view, Elems row) {
  using Element = std::conditional_t<std::is_same_v<Pointer, const void*>, const T, T>;
  return static_cast<Element*>(view.data) + row * view.row_stride;
}
/// a in its first n lanes, zero in the others.
HWY_INLINE F16 keep_first(F16 a, Elems n) {
  return n >= lanes ? a : map([&](int p) HWY_ATTR {
    const Elems count = std::clamp<Elems>(n - p * part_lanes, 0, part_lanes);
    return hn::IfThenElseZero(hn::FirstN(F32(), static_cast<std::size_t>(count)), a.part[p]);
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
