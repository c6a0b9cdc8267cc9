#include "runtime/base/cos_sin.h"

#include <catch2/catch.hpp>

#include <random>

using namespace trireme;

TEST_CASE("cos_sin: equals the C library's") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const double angle = std::ldexp(std::generate_canonical<double, 53>(random) - 0.5, static_cast<int>(random() % 28));
    const CosSin got = cos_sin(angle);
    // Up to 2^26. The product that is taken off is rounded by 2^-53 of the angle, the series by little more than once.
    const double error = 0x1p-51 + std::fabs(angle) * 0x1p-52;
    REQUIRE(std::fabs(got.cosine - std::cos(angle)) <= error);
    REQUIRE(std::fabs(got.sine - std::sin(angle)) <= error);
  }
}

TEST_CASE("cos_sin: exact where it must be") {
  CHECK(cos_sin(0).cosine == 1);
  CHECK(cos_sin(0).sine == 0);
  CHECK(cos_sin(3.14159265358979323846).cosine == -1);
}
