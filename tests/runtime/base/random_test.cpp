#include "runtime/base/random.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

using namespace trireme;

TEST_CASE("philox: the known answers of its authors") {
  using Block = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Random: numbers depend on seed, stream and index alone") {
  const Random a(1, "x"), b(1, "x");
  std::set<std::uint64_t> different;
  for (std::uint64_t seed : {0ull, 1ull, 1ull << 32, ~0ull})
    for (const char* stream : {"", "x", "y", "xy", "layer.1.gain", "layer.11.gain"})
      for (std::uint64_t index : {0ull, 1ull, 7ull, 1ull << 32, ~0ull})
        different.insert(Random(seed, stream).bits(index));
  CHECK(different.size() == 4 * 6 * 5);
  for (std::uint64_t i : {0ull, 7ull, ~0ull}) CHECK(a.bits(i) == b.bits(i));
}

TEST_CASE("Random: normal numbers have the moments of a normal distribution") {
  const Random a(1, "x");
  constexpr int n = 200000;
  double sum = 0, squares = 0, fourth = 0, together = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double x = a.normal(i);
    sum += x, squares += x * x, fourth += x * x * x * x, together += x * a.normal(i + 1);
  }
  // Five standard errors each.
  CHECK(std::fabs(sum / n) < 5 / std::sqrt(n));
  CHECK(std::fabs(squares / n - 1) < 5 * std::sqrt(2.0 / n));
  CHECK(std::fabs(fourth / n - 3) < 5 * std::sqrt(96.0 / n));
  CHECK(std::fabs(together / n) < 5 / std::sqrt(n));
}

TEST_CASE("Random: normal is the inverse of the distribution function at uniform") {
  const Random a(3, "inverse");
  double lowest = 1;
  for (std::uint64_t i = 0; i < 100000; ++i) {
    const double u = a.uniform(i), x = a.normal(i);
    REQUIRE((u > 0 && u < 1));
    // The smaller tail, so that u is not rounded away. AS 241 is right to 1e-16 of x, and d ln(tail) = -x^2 dx / x at
    // most (plus one): the distance in x grows by 1 + x^2. Plus the rounding of 1 - u, 2^-53 in a tail of u, and erfc's
    // own.
    const double tail = std::min(u, 1 - u), expected = 0.5 * std::erfc(std::fabs(x) / std::sqrt(2.0));
    REQUIRE(std::fabs(expected - tail) <= (1 + x * x) * 16 * 0x1p-53 * tail + 0x1p-53);
    REQUIRE((u < 0.5) == (x < 0));
    lowest = std::min(lowest, tail);
  }
  CHECK(lowest < 1e-4);
}

TEST_CASE("Random: a seed's numbers are the same on every machine and for ever") {
  const Random a(1, "golden");
  CHECK(a.bits(0) == 0x271aa4885a12c776ull);
  CHECK(a.uniform(1) == 0x1.9e26e5d3edd47p-1);
  CHECK(a.normal(0) == -0x1.065352402ae78p+0);
  CHECK(a.normal(1) == 0x1.bf64b0a6ebb65p-1);
  CHECK(a.normal(2) == -0x1.56e2d2baff4efp-1);
  CHECK(a.normal(1025604) == -0x1.70269b3dd8e0bp+2);  // the lowest of the first two million
}

TEST_CASE("Random: below is below, reaches all, and favours none") {
  const Random a(2, "below");
  int count[10] = {};
  constexpr int n = 100000;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t x = a.below(i, 10);
    REQUIRE(x < 10);
    ++count[x];
    REQUIRE(a.below(i, 1) == 0);
  }
  for (int c : count) CHECK(std::fabs(c - n / 10.0) < 5 * std::sqrt(n * 0.09));
  CHECK(a.below(5, ~0ull) < ~0ull);
}
