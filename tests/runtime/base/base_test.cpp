// The ground that all else stands on: sums, random numbers, types, views, units, errors.

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"
#include "runtime/base/exact_sum.h"
#include "runtime/base/natural_log.h"
#include "runtime/base/random.h"
#include "runtime/base/tensor_view.h"
#include "runtime/base/units.h"

using namespace trireme;

TEST_CASE("ExactSum: equals a wide sum, rounded once, whatever the order") {
  const Random random(1, "sums");
  for (std::uint64_t t = 0; t < 3000; ++t) {
    std::vector<double> values;
    __float128 wide = 0;
    for (std::uint64_t i = 0; i < 6; ++i) {
      const double x = random.normal(6 * t + i) * std::ldexp(1.0, static_cast<int>(random.below(6 * t + i, 50)) - 25);
      values.push_back(x);
      wide += x;  // 113 bits hold all of it
    }
    ExactSum sum, reversed;
    for (double x : values) sum.add(x);
    for (auto x = values.rbegin(); x != values.rend(); ++x) {
      ExactSum one;
      one.add(*x);
      reversed.merge(one);
    }
    REQUIRE(sum.value() == static_cast<double>(wide));
    REQUIRE(reversed.limbs != ExactSum().limbs);
    REQUIRE(reversed.value() == sum.value());
  }
}

TEST_CASE("ExactSum: cancellation, denormals, ties and the largest numbers") {
  const auto sum_of = [](std::initializer_list<double> values) {
    ExactSum sum;
    for (double x : values) sum.add(x);
    return sum.value();
  };
  CHECK(sum_of({}) == 0);
  CHECK(sum_of({1e308, 1, -1e308}) == 1);
  CHECK(sum_of({5e-324, -1e-310}) == 5e-324 - 1e-310);
  CHECK(sum_of({-5e-324}) == -5e-324);
  CHECK(sum_of({1, 0x1p-53}) == 1);                  // a tie goes to even
  CHECK(sum_of({1, 0x1p-53, 0x1p-200}) == 1 + 0x1p-52);  // above the tie
  CHECK(sum_of({1 + 0x1p-52, 0x1p-53}) == 1 + 0x1p-51);
  CHECK(sum_of({-1e300, -1e300}) == -2e300);
  CHECK(std::isinf(sum_of({1.7e308, 1.7e308})));
  CHECK(sum_of({1.7e308, 1.7e308, -1.7e308}) == 1.7e308);
  CHECK(std::isnan(sum_of({1, INFINITY})));
  CHECK(std::isnan(sum_of({std::nan("")})));
}

TEST_CASE("philox: the known answers of its authors") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("Random: numbers depend on seed, stream and index alone, and look like what they are") {
  const Random a(1, "x"), b(1, "x"), c(2, "x"), d(1, "y");
  CHECK(a.bits(7) == b.bits(7));
  CHECK(a.bits(7) != c.bits(7));
  CHECK(a.bits(7) != d.bits(7));
  constexpr int n = 200000;
  double sum = 0, squares = 0, fourth = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double x = a.normal(i);
    sum += x, squares += x * x, fourth += x * x * x * x;
    REQUIRE(a.below(i, 10) < 10);
  }
  // Five standard errors each.
  CHECK(std::fabs(sum / n) < 5 / std::sqrt(n));
  CHECK(std::fabs(squares / n - 1) < 5 * std::sqrt(2.0 / n));
  CHECK(std::fabs(fourth / n - 3) < 5 * std::sqrt(96.0 / n));
}

TEST_CASE("natural_log: equals the C library's within two units in the last place") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const double x = std::ldexp(1 + std::generate_canonical<double, 53>(random), static_cast<int>(random() % 200) - 100);
    REQUIRE(natural_log(x) == Approx(std::log(x)).epsilon(0x1p-51).margin(0x1p-53));
  }
}

TEST_CASE("to_bf16: to nearest even, denormals to zero, NaN quiet") {
  CHECK(to_f32(to_bf16(1.00390625f)) == 1.0f);        // a tie goes to even
  CHECK(to_f32(to_bf16(1.01171875f)) == 1.015625f);
  CHECK(to_f32(to_bf16(1e-40f)) == 0.0f);
  CHECK(std::signbit(to_f32(to_bf16(-1e-40f))));
  CHECK(std::isinf(to_f32(to_bf16(3.4e38f))));
  CHECK(std::isnan(to_f32(to_bf16(std::nanf("")))));
}

TEST_CASE("parse_bytes: sizes with units, and nothing else") {
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("1.5GiB") == 3 * GiB / 2);
  CHECK(parse_bytes("80 GiB") == 80 * GiB);
  for (const char* bad : {"", "GiB", "12 GB", "-1KiB", "1e30GiB", "4096x", "nan"}) CHECK_THROWS_AS(parse_bytes(bad), Error);
  CHECK(format_bytes(1536) == "1.50 KiB");
}

TEST_CASE("BasicView: rows, columns and shapes; a wrong type is our mistake") {
  std::vector<float> memory(24);
  std::iota(memory.begin(), memory.end(), 0.0f);
  const View view(memory.data(), DType::f32, 4, 6);
  CHECK(view.row(2).as<float>()[1] == 13);
  CHECK(view.cols_from(4, 2).row(3).as<float>()[0] == 22);
  CHECK_FALSE(view.cols_from(4, 2).contiguous());
  CHECK(view.reshape(8, 3).row(7).as<float>()[2] == 23);
  CHECK_THROWS_AS(view.as<bf16>(), Error);
  CHECK_THROWS_AS(view.reshape(5, 5), Error);
}

TEST_CASE("Error: kinds have the exit codes of the design, context goes in front") {
  CHECK(exit_code(ErrorKind::config) == 2);
  CHECK(exit_code(ErrorKind::plan) == 3);
  CHECK(exit_code(ErrorKind::data) == 4);
  CHECK(exit_code(ErrorKind::checkpoint) == 5);
  CHECK(exit_code(ErrorKind::numeric) == 6);
  CHECK(exit_code(ErrorKind::comm) == 7);
  CHECK(exit_code(ErrorKind::device) == 8);
  CHECK(exit_code(ErrorKind::bug) == 70);
  const Error error = Error(ErrorKind::data, "gone").with_context("rank 3");
  CHECK(std::string(error.what()) == "rank 3: gone");
  CHECK_THROWS_WITH(require(false, ErrorKind::data, "{} of {}", 1, 2), "1 of 2");
}
