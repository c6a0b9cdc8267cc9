#include "models/hf/storage.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "runtime/base/error.h"

namespace trireme::hf {
namespace {

// Integers throughout: the threads that copy flush denormals to zero in float arithmetic.
struct F32 {
  using Raw = std::uint32_t;
  static std::uint32_t widen(Raw raw) { return raw; }
  static Raw narrow(std::uint32_t u) { return u; }
};

struct Bf16 {
  using Raw = std::uint16_t;
  static std::uint32_t widen(Raw raw) { return static_cast<std::uint32_t>(raw) << 16; }
  static Raw narrow(std::uint32_t u) {
    const auto upper = static_cast<Raw>(u >> 16);
    // A NaN whose payload lies in the lower half alone would become an infinity.
    if ((u & 0x7fffffffu) > 0x7f800000u) return (upper & 0x7fu) != 0 ? upper : static_cast<Raw>(upper | 0x40u);
    return static_cast<Raw>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
};

struct F16 {
  using Raw = std::uint16_t;
  static std::uint32_t widen(Raw raw) {
    const std::uint32_t sign = (raw & 0x8000u) << 16, exponent = (raw >> 10) & 0x1fu, mantissa = raw & 0x3ffu;
    if (exponent == 31) return sign | 0x7f800000u | mantissa << 13;
    if (exponent == 0) return sign | std::bit_cast<std::uint32_t>(static_cast<float>(mantissa) * 0x1p-24f);
    return sign | (exponent + 112) << 23 | mantissa << 13;
  }
  static Raw narrow(std::uint32_t u) {
    const auto sign = static_cast<Raw>((u >> 16) & 0x8000u);
    const std::uint32_t a = u & 0x7fffffffu;
    if (a > 0x7f800000u) {
      const std::uint32_t payload = (a >> 13) & 0x3ffu;
      return static_cast<Raw>(sign | 0x7c00u | (payload != 0 ? payload : 0x200u));
    }
    if (a >= 0x477ff000u) return static_cast<Raw>(sign | 0x7c00u);  // 65520 and above: infinity
    if (a >= 0x38800000u) return static_cast<Raw>(sign | ((a + 0xfffu + ((a >> 13) & 1u) - 0x38000000u) >> 13));
    // Denormals of f16 count 2^-24.
    const std::uint32_t exponent = a >> 23, mantissa = (a & 0x7fffffu) | 0x800000u, shift = 126 - exponent;
    if (exponent < 102) return sign;
    const std::uint32_t rounded = mantissa + (1u << (shift - 1)) - 1 + ((mantissa >> shift) & 1u);
    return static_cast<Raw>(sign | (rounded >> shift));
  }
};

template <typename Body>
void with_storage(Storage type, const Body& body) {
  switch (type) {
    case Storage::f32: body(F32()); return;
    case Storage::bf16: body(Bf16()); return;
    case Storage::f16: body(F16()); return;
  }
}

/// Calls `each` with every element's place in both memories, in squares that stay in the cache where one is transposed.
template <typename Each>
void for_each_element(const Exchange& k, const Each& each) {
  constexpr Elems square = 64;
  if (!k.transposed) {
    for (Elems r = 0; r < k.rows; ++r)
      for (Elems c = 0; c < k.cols; ++c) each(r * k.value_stride + c, r * k.cols + c);
    return;
  }
  for (Elems c0 = 0; c0 < k.cols; c0 += square)
    for (Elems r0 = 0; r0 < k.rows; r0 += square)
      for (Elems r = r0; r < std::min(r0 + square, k.rows); ++r)
        for (Elems c = c0; c < std::min(c0 + square, k.cols); ++c) each(r * k.value_stride + c, c * k.rows + r);
}

}  // namespace

const char* name(Storage type) {
  switch (type) {
    case Storage::f32: return "f32";
    case Storage::bf16: return "bf16";
    case Storage::f16: return "f16";
  }
  return "f32";
}

Storage parse_storage(std::string_view text) {
  for (Storage type : {Storage::f32, Storage::bf16, Storage::f16})
    if (text == name(type)) return type;
  throw Error(ErrorKind::config, fmt::format("'{}' is no type of a model folder; use f32, bf16 or f16", text));
}

const char* safetensors_name(Storage type) {
  switch (type) {
    case Storage::f32: return "F32";
    case Storage::bf16: return "BF16";
    case Storage::f16: return "F16";
  }
  return "F32";
}

std::optional<Storage> find_storage(std::string_view text) {
  for (Storage type : {Storage::f32, Storage::bf16, Storage::f16})
    if (text == safetensors_name(type)) return type;
  return std::nullopt;
}

const char* torch_name(Storage type) {
  switch (type) {
    case Storage::f32: return "float32";
    case Storage::bf16: return "bfloat16";
    case Storage::f16: return "float16";
  }
  return "float32";
}

void widen(const Exchange& k) {
  with_storage(k.type, [&]<typename Type>(Type) {
    const auto* stored = reinterpret_cast<const typename Type::Raw*>(k.stored);
    for_each_element(
        k, [&](Elems value, Elems place) { k.values[value] = std::bit_cast<float>(Type::widen(stored[place])); });
  });
}

void narrow(const Exchange& k) {
  with_storage(k.type, [&]<typename Type>(Type) {
    auto* stored = reinterpret_cast<typename Type::Raw*>(k.stored);
    for_each_element(k, [&](Elems value, Elems place) {
      stored[place] = Type::narrow(std::bit_cast<std::uint32_t>(k.values[value]));
    });
  });
}

}  // namespace trireme::hf
