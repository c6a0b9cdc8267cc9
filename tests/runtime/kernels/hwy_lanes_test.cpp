// The lanes that all element-wise kernels stand on, target by target.
#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/runtime/kernels/hwy_lanes_test.cpp"
#include <hwy/foreach_target.h>

#include <bit>
#include <cmath>
#include <vector>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

/// 16 results of each function for 16 inputs of x; y is x from its other end.
void all_functions(const float* x, const float* y, float* out) {
  const F16 a = load(x), b = load(y);
  const F16 results[] = {a + b,
                         a - b,
                         a * b,
                         a / b,
                         sqrt(a * a),
                         max(a, b),
                         min(a, b),
                         fma(a, b, a),
                         exp2(a),
                         exp(a),
                         sigmoid(a),
                         rounded<bf16>(a),
                         set(sum(a)),
                         set(largest(a)),
                         load_tail(x, 7, 3.0f),
                         keep_first(a, 9),
                         exp2_of_negative(min(a, set(127.0f)))};
  for (const F16& result : results) store(out, result), out += lanes;
}
constexpr Elems functions = 17;

void exp2_all(const float* x, float* out, Elems count) {
  for (Elems i = 0; i < count; i += lanes) store_at(out, exp2(load_at(x, i, count)), i, count);
}
void round_all(const float* x, bf16* out, Elems count) {
  for (Elems i = 0; i < count; i += lanes) store_at(out, load_at(x, i, count), i, count);
}
// As kernels do, with the CPU's own rounding where it has one; `again` takes what is left after rounding in registers.
void round_as_stored(const float* x, bf16* out, float* again, Elems count) {
  with_storage(DType::bf16, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (Elems i = 0; i < count; i += lanes) {
      store_at(reinterpret_cast<T*>(out), load_at(x, i, count), i, count);
      store_at(again, rounded<T>(load_at(x, i, count)), i, count);
    }
  });
}
// Tails of every length: of bf16 into `out`, of f32 into `out2`.
void copy_tails(const bf16* x, const float* y, float* out, float* out2) {
  for (Elems n = 1; n < lanes; ++n, x += lanes, y += lanes, out += lanes, out2 += lanes) {
    store(out, load_tail(x, n, 5.0f));
    store_tail(out2, load_tail(y, n), n);
  }
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <catch2/catch.hpp>

#include "runtime/base/random.h"

namespace trireme {
namespace cpu {
namespace {
HWY_EXPORT(target_name);
HWY_EXPORT(all_functions);
HWY_EXPORT(exp2_all);
HWY_EXPORT(round_all);
HWY_EXPORT(round_as_stored);
HWY_EXPORT(copy_tails);

/// Numbers where targets could part: ties, signed zeros, denormals, infinities, NaN, the ends of exp2, and all sizes.
std::vector<float> awkward_numbers() {
  std::vector<float> x = {0.0f,       -0.0f,       0.49999997f, -0.49999997f,    0.5f,   -0.5f,   1.5f,
                          2.5f,       -2.5f,       127.0f,      127.5f,          128.0f, -126.0f, -126.5f,
                          -127.0f,    1e-40f,      -1e-40f,     1e30f,           -1e30f, 3.4e38f, INFINITY,
                          -INFINITY,  NAN,         -NAN,        1.17549435e-38f, 88.7f,  -87.3f,  0.50000006f,
                          8388607.5f, 1.00390625f, 1.01171875f, 1e-20f};
  const Random random(1, "awkward numbers");
  while (x.size() < 16 * 4096) x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random.bits(x.size()))));
  return x;
}

template <typename Each>
void each_isa(Each each) {
  set_float_mode();
  for (Isa isa : all_isas)
    if (isa >= detect_isa()) select_isa(isa), each(isa);
  select_isa(detect_isa());
}

// Which NaN comes out of two is left to the hardware, and so is whether a maximum that is denormal has become zero: to
// any arithmetic that follows it is.
std::uint32_t bits_of(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::isnan(x) ? 0x7fc00000u : (bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits;
}

}  // namespace

TEST_CASE("hwy_lanes: select_isa decides which target runs", "[kernels]") {
  each_isa([](Isa isa) {
    const std::string target = HWY_DYNAMIC_DISPATCH(target_name)();
    // Highway's fallback has two names: g++ before 12.3 miscompiles EMU128.
    if (isa == Isa::scalar)
      CHECK((target == "SCALAR" || target == "EMU128"));
    else if (isa == Isa::avx2)
      CHECK(target == "AVX2");
    else
      CHECK(target == "AVX3");
  });
}

TEST_CASE("hwy_lanes: every function has the same bits on every target", "[kernels]") {
  const std::vector<float> x = awkward_numbers(), y(x.rbegin(), x.rend());
  constexpr auto lanes = static_cast<std::size_t>(HWY_NAMESPACE::lanes), per_group = HWY_NAMESPACE::functions * lanes;
  const std::size_t groups = x.size() / lanes;
  std::vector<float> first, out(groups * per_group);
  each_isa([&](Isa isa) {
    for (std::size_t g = 0; g < groups; ++g)
      HWY_DYNAMIC_DISPATCH(all_functions)(&x[g * lanes], &y[g * lanes], &out[g * per_group]);
    if (first.empty()) first = out;
    std::size_t different = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
      if (bits_of(out[i]) != bits_of(first[i]) && different++ < 5)
        UNSCOPED_INFO(name(isa) << ": function " << i % per_group / lanes << " of "
                                << x[i / per_group * lanes + i % lanes] << " gives " << out[i] << ", not " << first[i]);
    CHECK(different == 0);
  });
}

TEST_CASE("hwy_lanes: a stored bf16 is to_bf16 of the value", "[kernels]") {
  const std::vector<float> x = awkward_numbers();
  each_isa([&](Isa) {
    std::vector<bf16> out(x.size() - 3);  // ends in a tail
    HWY_DYNAMIC_DISPATCH(round_all)(x.data(), out.data(), static_cast<Elems>(out.size()));
    std::size_t different = 0;
    for (std::size_t i = 0; i < out.size(); ++i) different += out[i] != to_bf16(x[i]);
    CHECK(different == 0);
  });
}

TEST_CASE("hwy_lanes: kernels store to_bf16 of a value whatever the CPU rounds with, and use what they store",
          "[kernels]") {
  // Every upper half of a float, each with the lower halves where rounding turns.
  std::vector<float> x;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper)
    for (std::uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
  each_isa([&](Isa isa) {
    std::vector<bf16> out(x.size() - 3);  // ends in a tail
    std::vector<float> again(out.size());
    HWY_DYNAMIC_DISPATCH(round_as_stored)(x.data(), out.data(), again.data(), static_cast<Elems>(out.size()));
    std::size_t different = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const bool is_read_as_stored = std::bit_cast<std::uint32_t>(again[i]) == static_cast<std::uint32_t>(out[i].bits)
                                                                                   << 16;
      different += out[i] != to_bf16(x[i]) || !is_read_as_stored;
    }
    INFO(name(isa));
    CHECK(different == 0);
  });
}

TEST_CASE("hwy_lanes: a tail reads and writes its elements and no other", "[kernels]") {
  std::vector<bf16> x;
  std::vector<float> y;
  for (int i = 0; i < 15 * 16; ++i) y.push_back(static_cast<float>(i)), x.push_back(to_bf16(y.back()));
  each_isa([&](Isa isa) {
    std::vector<float> out(y.size()), out2(y.size(), -1);
    HWY_DYNAMIC_DISPATCH(copy_tails)(x.data(), y.data(), out.data(), out2.data());
    INFO(name(isa));
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool is_there = i % 16 < i / 16 + 1;
      REQUIRE(out[i] == (is_there ? y[i] : 5));
      REQUIRE(out2[i] == (is_there ? y[i] : -1));
    }
  });
}

TEST_CASE("hwy_lanes: exp2 is within 7.5e-8 and three roundings, and keeps NaN", "[kernels]") {
  std::vector<float> x, out;
  for (float v = -126; v <= 127; v += 0.000731f) x.push_back(v);
  out.resize(x.size());
  each_isa([&](Isa isa) {
    if (isa == Isa::scalar) return;  // equal bits are shown above
    HWY_DYNAMIC_DISPATCH(exp2_all)(x.data(), out.data(), static_cast<Elems>(x.size()));
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      worst = std::max(worst, std::fabs(out[i] / std::exp2(static_cast<double>(x[i])) - 1));
    CHECK(worst < 7.5e-8 + 3 * 0x1p-24);
  });
  const float ends[] = {NAN, INFINITY, -INFINITY, 1000, -1000};
  float results[5];
  each_isa([&](Isa) {
    HWY_DYNAMIC_DISPATCH(exp2_all)(ends, results, 5);
    CHECK(std::isnan(results[0]));
    CHECK(results[1] == results[3]);
    CHECK(results[2] == results[4]);
    CHECK(results[3] == Approx(0x1p127));
    CHECK(results[4] == Approx(0x1p-126));
  });
}

}  // namespace cpu
}  // namespace trireme
#endif
