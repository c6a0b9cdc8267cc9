#include "runtime/base/dtype.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

#include "runtime/base/error.h"

using namespace trireme;

namespace {

/// The nearest bf16 found by looking at both neighbours in double precision.
float nearest_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x) & 0xffff0000u;
  const float toward_zero = std::bit_cast<float>(bits), away = std::bit_cast<float>(bits + 0x10000u);
  // One step above the largest finite bf16 is 2^128 for the purpose of rounding.
  const double far = std::isinf(away) ? std::copysign(0x1p128, x) : static_cast<double>(away);
  const double down = std::fabs(static_cast<double>(x) - toward_zero), up = std::fabs(far - x);
  if (down != up) return down < up ? toward_zero : away;
  return bits & 0x10000u ? away : toward_zero;
}

}  // namespace

TEST_CASE("to_bf16: to nearest even, denormals to zero, NaN quiet") {
  CHECK(to_f32(to_bf16(1.00390625f)) == 1.0f);  // a tie goes to even
  CHECK(to_f32(to_bf16(1.01171875f)) == 1.015625f);
  CHECK(to_f32(to_bf16(1e-40f)) == 0.0f);
  CHECK(std::signbit(to_f32(to_bf16(-1e-40f))));
  CHECK(std::isinf(to_f32(to_bf16(3.4e38f))));
  CHECK(to_bf16(-std::numeric_limits<float>::infinity()).bits == 0xff80);
  for (std::uint32_t nan : {0x7f800001u, 0xff800001u, 0x7fffffffu, 0x7fc00000u}) {
    const bf16 rounded = to_bf16(std::bit_cast<float>(nan));
    CHECK(std::isnan(to_f32(rounded)));
    CHECK((rounded.bits & 0x40) == 0x40);
    CHECK(rounded.bits >> 15 == nan >> 31);
  }
}

TEST_CASE("to_bf16: the nearer neighbour, over all exponents") {
  for (std::uint32_t upper = 0x0080; upper < 0x7f80; ++upper)
    for (std::uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      for (std::uint32_t sign : {0u, 0x80000000u}) {
        const float x = std::bit_cast<float>(sign | upper << 16 | lower);
        if (to_f32(to_bf16(x)) != nearest_bf16(x)) REQUIRE(to_f32(to_bf16(x)) == nearest_bf16(x));
      }
}

TEST_CASE("to_bf16: every bf16 but a denormal or a signalling NaN survives the way to f32 and back") {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const bf16 x{static_cast<std::uint16_t>(bits)};
    const bool denormal = (bits & 0x7f80) == 0 && (bits & 0x7f) != 0, nan = (bits & 0x7fff) > 0x7f80;
    if (!denormal && !nan && !(to_bf16(to_f32(x)) == x)) REQUIRE(to_bf16(to_f32(x)).bits == bits);
  }
}

TEST_CASE("DType: names parse back, sizes are those of the C++ types") {
  for (DType type : {DType::bf16, DType::f32, DType::f64, DType::i32, DType::i64, DType::byte})
    CHECK(parse_dtype(name(type)) == type);
  CHECK(size_bytes(dtype_of<bf16>::value) == sizeof(bf16));
  CHECK(size_bytes(dtype_of<float>::value) == sizeof(float));
  CHECK(size_bytes(dtype_of<double>::value) == sizeof(double));
  CHECK(size_bytes(dtype_of<std::int32_t>::value) == sizeof(std::int32_t));
  CHECK(size_bytes(dtype_of<std::int64_t>::value) == sizeof(std::int64_t));
  CHECK(size_bytes(dtype_of<std::byte>::value) == 1);
  for (const char* bad : {"", "f16", "bf16 ", "F32"}) CHECK_THROWS_AS(parse_dtype(bad), Error);
}
