#pragma once

#include <cstdint>

namespace trireme {

/// x to the power n >= 0 by squaring: plain products, so that its bits do not depend on a C library. Relative error at
/// most n + 1 roundings.
inline double integer_power(double x, std::int64_t n) {
  double power = 1;
  for (; n > 0; n /= 2, x *= x)
    if (n % 2 == 1) power *= x;
  return power;
}

}  // namespace trireme
