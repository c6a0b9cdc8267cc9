#include "runtime/base/natural_log.h"

#include <catch2/catch.hpp>

#include <limits>
#include <random>

using namespace trireme;

TEST_CASE("natural_log: equals the C library's within two units in the last place") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const double x =
        std::ldexp(1 + std::generate_canonical<double, 53>(random), static_cast<int>(random() % 200) - 100);
    REQUIRE(natural_log(x) == Approx(std::log(x)).epsilon(0x1p-51).margin(0x1p-53));
  }
}

TEST_CASE("natural_log: near one and at the ends of the doubles") {
  CHECK(natural_log(1) == 0);
  for (double d = 0x1p-52; d < 0.25; d *= 2)
    for (double x : {1 + d, 1 - d}) CHECK(natural_log(x) == Approx(std::log(x)).epsilon(0x1p-51).margin(0));
  for (double x : {std::numeric_limits<double>::max(), std::numeric_limits<double>::min(), 5e-324})
    CHECK(natural_log(x) == Approx(std::log(x)).epsilon(0x1p-51));
}
