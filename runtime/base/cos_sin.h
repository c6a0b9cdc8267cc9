#pragma once

#include <cmath>
#include <cstdint>

namespace trireme {

struct CosSin {
  double cosine, sine;
};

/// Cosine and sine of an angle in radians, |angle| < 2^26, by our own arithmetic, so that their bits do not depend on a
/// C library: Taylor series on [-pi/4, pi/4] after taking off multiples of pi/2 in two parts. Absolute error at most
/// 2^-51 + |angle| 2^-52.
inline CosSin cos_sin(double angle) {
  constexpr double pi_2_high = 1.57079632679489655800e+00, pi_2_low = 6.12323399573676603587e-17;
  const double turns = std::nearbyint(angle / pi_2_high);
  const double r = (angle - turns * pi_2_high) - turns * pi_2_low, r2 = r * r;
  double sine = 0, cosine = 0;
  for (int k = 19; k >= 3; k -= 2) sine = (1 - sine) * r2 / (k * (k - 1));
  for (int k = 20; k >= 2; k -= 2) cosine = (1 - cosine) * r2 / (k * (k - 1));
  sine = r * (1 - sine);
  cosine = 1 - cosine;
  switch (static_cast<std::int64_t>(turns) & 3) {
    case 0: return {cosine, sine};
    case 1: return {-sine, cosine};
    case 2: return {-cosine, -sine};
    default: return {sine, -cosine};
  }
}

}  // namespace trireme
