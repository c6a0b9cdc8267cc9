#include "runtime/base/integer_power.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace trireme;

TEST_CASE("integer_power: equals the C library's within its roundings") {
  for (const double x : {0.0, 0.5, 0.9, 0.95, 0.999, 1.0, 1.5, -2.0})
    for (const std::int64_t n : {0, 1, 2, 3, 7, 100, 1023}) {
      CAPTURE(x, n);
      const double expected = std::pow(x, static_cast<double>(n));
      // x itself carries no error; each squaring doubles the relative error so far and adds one rounding: n in all.
      CHECK(std::fabs(integer_power(x, n) - expected) <= std::fabs(expected) * 0x1p-52 * static_cast<double>(n + 1));
    }
  CHECK(integer_power(0.9, 100000000000) == 0);
}
