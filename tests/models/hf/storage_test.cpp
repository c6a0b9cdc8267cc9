#include "models/hf/storage.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/kernels/cpu/threads.h"

using namespace trireme;
using hf::Storage;

namespace {

float widened(Storage type, std::uint16_t bits) {
  float value = 0;
  hf::widen({.values = &value,
             .value_stride = 1,
             .stored = reinterpret_cast<std::byte*>(&bits),
             .type = type,
             .rows = 1,
             .cols = 1});
  return value;
}

std::uint16_t narrowed(Storage type, float value) {
  std::uint16_t bits = 0;
  hf::narrow({.values = &value,
              .value_stride = 1,
              .stored = reinterpret_cast<std::byte*>(&bits),
              .type = type,
              .rows = 1,
              .cols = 1});
  return bits;
}

// By its definition, in double.
double f16_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE(
    "storage: every bf16 and every f16 survives the way to f32 and back, NaN and denormals too, on a thread that "
    "flushes them") {
  cpu::set_float_mode();
  for (const Storage type : {Storage::bf16, Storage::f16})
    for (std::uint32_t bits = 0; bits < 65536; ++bits)
      if (narrowed(type, widened(type, static_cast<std::uint16_t>(bits))) != bits) FAIL(hf::name(type) << " " << bits);
  cpu::set_float_mode();
}

TEST_CASE("storage: an f16 has the value of its definition") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if ((bits >> 10 & 31) == 31) continue;
    if (static_cast<double>(widened(Storage::f16, half)) != f16_value(half)) FAIL(bits);
  }
  CHECK(std::isinf(widened(Storage::f16, 0x7c00)));
  CHECK(std::isnan(widened(Storage::f16, 0x7c01)));
}

TEST_CASE("storage: f32 is rounded to the nearest f16, to even between two") {
  const Random random(3, "halves");
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const auto low = static_cast<std::uint16_t>(random.below(2 * i, 0x7bff));
    const double a = f16_value(low), b = f16_value(static_cast<std::uint16_t>(low + 1));
    const double share = static_cast<double>(random.below(2 * i + 1, 9)) / 8;
    const auto value = static_cast<float>(a + (b - a) * share);
    const auto wanted = static_cast<std::uint16_t>(share < 0.5 || (share == 0.5 && low % 2 == 0) ? low : low + 1);
    if (narrowed(Storage::f16, value) != wanted) FAIL(value);
    if (narrowed(Storage::f16, -value) != (wanted | 0x8000)) FAIL(-value);
  }
  CHECK(narrowed(Storage::f16, 65519.0f) == 0x7bff);
  CHECK(narrowed(Storage::f16, 65520.0f) == 0x7c00);
  CHECK(narrowed(Storage::f16, 1e30f) == 0x7c00);
  CHECK(narrowed(Storage::f16, 0x1p-25f) == 0);
  CHECK(narrowed(Storage::f16, 0x1.8p-25f) == 1);
  CHECK(narrowed(Storage::f16, 0x1p-60f) == 0);
}

TEST_CASE("storage: f32 is rounded to the nearest bf16, and its denormals are kept") {
  CHECK(narrowed(Storage::bf16, std::bit_cast<float>(0x3f808000u)) == 0x3f80);
  CHECK(narrowed(Storage::bf16, std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(narrowed(Storage::bf16, std::bit_cast<float>(0x3f808001u)) == 0x3f81);
  CHECK(narrowed(Storage::bf16, std::bit_cast<float>(0x00010000u)) == 1);
  CHECK(narrowed(Storage::bf16, std::bit_cast<float>(0x7f7fffffu)) == 0x7f80);
  CHECK(narrowed(Storage::bf16, std::bit_cast<float>(0x7f800001u)) == 0x7fc0);  // a NaN stays one
}

TEST_CASE("storage: a transposed matrix has element (r, c) at c * rows + r, and no other memory is touched") {
  for (const auto& [rows, cols] : {std::pair<Elems, Elems>{1, 1}, {3, 130}, {67, 65}, {128, 1}}) {
    const Elems stride = cols + 3;
    std::vector<float> values(static_cast<std::size_t>(rows * stride), -1.0f),
        stored(static_cast<std::size_t>(rows * cols));
    for (std::size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<float>(i);
    const hf::Exchange k{.values = values.data(),
                         .value_stride = stride,
                         .stored = reinterpret_cast<std::byte*>(stored.data()),
                         .type = Storage::f32,
                         .rows = rows,
                         .cols = cols,
                         .transposed = true};
    hf::widen(k);
    for (Elems r = 0; r < rows; ++r)
      for (Elems c = 0; c < stride; ++c)
        REQUIRE(values[static_cast<std::size_t>(r * stride + c)] ==
                (c < cols ? static_cast<float>(c * rows + r) : -1.0f));
    const std::vector<float> before = stored;
    std::fill(stored.begin(), stored.end(), -2.0f);
    hf::narrow(k);
    CHECK(stored == before);
  }
}
