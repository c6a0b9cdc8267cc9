// The lanes that all element-wise kernels stand on, target by target.
#include "runtime/kernels/cpu/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/runtime/kernels/hwy_lanes_test.cpp"
#include <hwy/foreach_target.h>

#include <bit>
#include <cmath>
#include <vector>

#include "runtime/kernels/cpu/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/threads.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

/// 16 results of each function for 16 inputs of x; y is x from its other end.
void all_functions(const float* x, const float* y, float* out) {
  const F16 a = load(x), b = load(y);
  const F16 results[] = {a + b, a - b, a * b, a / b, sqrt(a * a), max(a, b), min(a, b), fma(a, b, a), exp2(a), exp(a),
                         sigmoid(a), rounded<bf16>(a), set(sum(a)), set(largest(a)), load_tail(x, 7, 3.0f)};
  for (const F16& result : results) store(out, result), out += lanes;
}
constexpr Elems functions = 15;

void exp2_all(const float* x, float* out, Elems count) {
  for (Elems i = 0; i < count; i += lanes) store_at(out, exp2(load_at(x, i, count)), i, count);
}
void round_all(const float* x, bf16* out, Elems count) {
  for (Elems i = 0; i < count; i += lanes) store_at(out, load_at(x, i, count), i, count);
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

/// Numbers where targets could part: ties, signed zeros, denormals, infinities, NaN, the ends of exp2, and all sizes.
std::vector<float> awkward_numbers() {
  std::vector<float> x = {0.0f, -0.0f, 0.49999997f, -0.49999997f, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 127.0f, 127.5f, 128.0f,
                          -126.0f, -126.5f, -127.0f, 1e-40f, -1e-40f, 1e30f, -1e30f, 3.4e38f, INFINITY, -INFINITY, NAN,
                          -NAN, 1.17549435e-38f, 88.7f, -87.3f, 0.50000006f, 8388607.5f, 1.00390625f, 1.01171875f, 1e-20f};
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

// Which NaN comes out of two is left to the hardware.
std::uint32_t bits_of(float x) { return std::isnan(x) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(x); }

}  // namespace

TEST_CASE("hwy_lanes: select_isa decides which target runs", "[kernels]") {
  each_isa([](Isa isa) {
    const std::string target = HWY_DYNAMIC_DISPATCH(target_name)();
    // Highway's fallback has two names: g++ before 12.3 miscompiles EMU128.
    if (isa == Isa::scalar) CHECK((target == "SCALAR" || target == "EMU128"));
    else if (isa == Isa::avx2) CHECK(target == "AVX2");
    else CHECK(target == "AVX3");
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
        UNSCOPED_INFO(name(isa) << ": function " << i % per_group / lanes << " of " << x[i / per_group * lanes + i % lanes]
                                << " gives " << out[i] << ", not " << first[i]);
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
