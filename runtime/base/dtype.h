#pragma once
// Storage types of tensors, and the one rounding from f32 to bf16 that all code agrees on.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/units.h"

namespace trireme {

/// `byte` is for blocks of memory without elements (workspace, small structs); its size is 1.
enum class DType : std::uint8_t { bf16, f32, f64, i32, i64, byte };

constexpr Bytes size_bytes(DType type) {
  switch (type) {
    case DType::bf16: return 2;
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::i32: return 4;
    case DType::i64: return 8;
    case DType::byte: return 1;
  }
  return 0;
}

const char* name(DType type);
/// Errors: Error(config) for a name that is no type.
DType parse_dtype(std::string_view text);

/// The upper 16 bits of a float.
struct bf16 {
  std::uint16_t bits;
  friend bool operator==(bf16, bf16) = default;
};

inline float to_f32(bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

/// Round to nearest even; denormal inputs become a zero of their sign, NaN a quiet NaN. Equals vcvtneps2bf16.
inline bf16 to_bf16(float x) {
  const std::uint32_t u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7f800000u) == 0) return {static_cast<std::uint16_t>((u >> 16) & 0x8000u)};
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}

template <typename T>
struct dtype_of;
template <>
struct dtype_of<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of<std::byte> {
  static constexpr DType value = DType::byte;
};

}  // namespace trireme
