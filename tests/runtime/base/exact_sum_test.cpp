#include "runtime/base/exact_sum.h"

#include <catch2/catch.hpp>

#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "runtime/base/random.h"

using namespace trireme;

namespace {

ExactSum exact(const std::vector<double>& values) {
  ExactSum sum;
  for (double x : values) sum.add(x);
  return sum;
}
double sum_of(const std::vector<double>& values) { return exact(values).value(); }

/// Doubles of any sign and exponent, denormals included.
std::vector<double> any_doubles(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::vector<double> values;
  while (values.size() < count) {
    const double x = std::bit_cast<double>(random());
    if (std::isfinite(x) && std::fabs(x) < 1e306) values.push_back(x);
  }
  return values;
}

/// The same sum in another notation: whole 64-bit words of a two's complement number, added one value at a time with
/// carries. Word 0 counts 2^-1074.
struct LongNumber {
  std::vector<std::uint64_t> words = std::vector<std::uint64_t>(36);
  void add(double x) {
    int exponent = 0;
    const auto mantissa = static_cast<std::int64_t>(std::ldexp(std::frexp(x, &exponent), 53));
    // A denormal has trailing zeros below 2^-1074.
    const int below = std::max(0, -1074 - (exponent - 53));
    const std::int64_t scaled = mantissa / (std::int64_t{1} << below);
    const int shift = exponent - 53 + below + 1074;
    const auto wide = static_cast<unsigned __int128>(static_cast<__int128>(scaled)) << (shift % 64);
    const std::uint64_t fill = scaled < 0 ? ~0ull : 0;
    unsigned __int128 carry = 0;
    for (std::size_t i = 0, first = static_cast<std::size_t>(shift / 64); first + i < words.size(); ++i) {
      carry += words[first + i];
      carry += i == 0 ? static_cast<std::uint64_t>(wide) : i == 1 ? static_cast<std::uint64_t>(wide >> 64) : fill;
      words[first + i] = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
  }
  bool negative() const { return words.back() >> 63; }
};

/// `sum` less `value`, exactly, as a LongNumber.
LongNumber remainder(const std::vector<double>& values, double value) {
  LongNumber rest;
  for (double x : values) rest.add(x);
  rest.add(-value);
  return rest;
}

}  // namespace

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
    ExactSum reversed;
    for (auto x = values.rbegin(); x != values.rend(); ++x) reversed.merge(exact({*x}));
    REQUIRE(sum_of(values) == static_cast<double>(wide));
    REQUIRE(reversed.limbs == exact(values).limbs);
  }
}

TEST_CASE("ExactSum: doubles of all sizes, shuffled and merged in any parts, give one value, the nearest") {
  std::mt19937_64 shuffle(5);
  int negative = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    std::vector<double> values = any_doubles(seed, 1 + seed * 7 % 400);
    // Half of the rounds: nearly all cancels, and what is left lies far below.
    if (seed % 2)
      for (std::size_t i = 0, n = values.size(); i + 1 < n; ++i) values.push_back(-values[i]);
    const double value = sum_of(values);
    negative += value < 0;
    // Nearest: the exact rest lies between minus half and plus half the distance to the neighbours. Adding the rest
    // twice must not pass them.
    const double infinity = std::numeric_limits<double>::infinity();
    const double above = std::nextafter(value, infinity), below = std::nextafter(value, -infinity);
    std::vector<double> twice = values;
    twice.insert(twice.end(), values.begin(), values.end());
    twice.push_back(-value);
    CHECK(!remainder(twice, below).negative());
    std::vector<double> mirrored;
    for (double x : twice) mirrored.push_back(-x);
    CHECK(!remainder(mirrored, -above).negative());
    for (int round = 0; round < 4; ++round) {
      std::shuffle(values.begin(), values.end(), shuffle);
      std::vector<ExactSum> parts(5);
      for (std::size_t i = 0; i < values.size(); ++i) parts[shuffle() % 5].add(values[i]);
      for (std::size_t p = 1; p < 5; ++p) parts[0].merge(parts[p]);
      CHECK(std::bit_cast<std::uint64_t>(parts[0].value()) == std::bit_cast<std::uint64_t>(value));
    }
  }
  CHECK(negative > 10);
}

TEST_CASE("ExactSum: cancellation, denormals, ties and the largest numbers") {
  CHECK(sum_of({}) == 0);
  CHECK(!std::signbit(sum_of({-1, 1})));
  CHECK(!std::signbit(sum_of({-0.0})));
  CHECK(sum_of({1e308, 1, -1e308}) == 1);
  CHECK(sum_of({-1e308, -1, 1e308}) == -1);
  CHECK(sum_of({5e-324, -1e-310}) == 5e-324 - 1e-310);
  CHECK(sum_of({-5e-324}) == -5e-324);
  CHECK(sum_of({1e308, 5e-324, -1e308}) == 5e-324);
  CHECK(sum_of({0x1p-1022, -5e-324}) == 0x1p-1022 - 5e-324);  // from normal to denormal
  CHECK(sum_of({0x1p-1022 - 5e-324, 5e-324}) == 0x1p-1022);   // and back
  CHECK(sum_of({1, 0x1p-53}) == 1);                           // a tie goes to even
  CHECK(sum_of({-1, -0x1p-53}) == -1);
  CHECK(sum_of({1, 0x1p-53, 0x1p-200}) == 1 + 0x1p-52);  // above the tie
  CHECK(sum_of({1, 0x1p-53, -0x1p-1074}) == 1);          // below it
  CHECK(sum_of({-1, -0x1p-53, -0x1p-1074}) == -1 - 0x1p-52);
  CHECK(sum_of({1 + 0x1p-52, 0x1p-53}) == 1 + 0x1p-51);
  CHECK(sum_of({2 - 0x1p-52, 0x1p-53}) == 2);  // rounding carries into the exponent
  CHECK(sum_of({-1e300, -1e300}) == -2e300);
}

TEST_CASE("ExactSum: sums above the largest double are infinite, and come back") {
  const double largest = std::numeric_limits<double>::max(), half_step = 0x1p969;
  CHECK(std::isinf(sum_of({1.7e308, 1.7e308})));
  CHECK(sum_of({-1.7e308, -1.7e308}) == -std::numeric_limits<double>::infinity());
  CHECK(sum_of({1.7e308, 1.7e308, -1.7e308}) == 1.7e308);
  CHECK(std::isinf(sum_of({largest, half_step * 2})));
  CHECK(std::isinf(sum_of({largest, half_step, half_step})));
  CHECK(sum_of({largest, half_step}) == largest);
  ExactSum many;
  for (int i = 0; i < 100000; ++i) many.add(-largest);
  for (int i = 0; i < 99999; ++i) many.add(largest);
  CHECK(many.value() == -largest);
}

TEST_CASE("ExactSum: a million values of one digit carry as they should") {
  ExactSum sum;
  for (int i = 0; i < 1 << 20; ++i) sum.add(-1 - 0x1p-52);
  CHECK(sum.value() == -0x1p20 * (1 + 0x1p-52));
}

TEST_CASE("ExactSum: a value that is not finite makes the sum not a number, merged too") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(std::isnan(sum_of({1, infinity})));
  CHECK(std::isnan(sum_of({-infinity, infinity})));
  CHECK(std::isnan(sum_of({std::nan("")})));
  ExactSum sum = exact({1, 2});
  sum.merge(exact({-infinity}));
  CHECK(std::isnan(sum.value()));
  CHECK(sum.not_finite == 1);
}

TEST_CASE("ExactSum: threads that flush denormals get the same bits") {
  const auto bits = [] {
    std::vector<std::uint64_t> all;
    for (const auto& values : {std::vector{5e-324}, std::vector{-1e-310, 5e-324}, std::vector{0x1p-1022, -5e-324}})
      all.push_back(std::bit_cast<std::uint64_t>(sum_of(values)));
    return all;
  };
  const auto plain = bits();
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040u);
  const auto flushed = bits();
  _mm_setcsr(mode);
  CHECK(plain[0] == 1);
  CHECK(flushed == plain);
}
