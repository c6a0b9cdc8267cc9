#pragma once

#include <cstdint>

namespace trireme {

/// How many of `count` random cases a test runs: all, but a fifth under the sanitizers, which take ten times as long.
constexpr std::uint32_t random_cases(std::uint32_t count) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return count / 5;
#else
  return count;
#endif
}

}  // namespace trireme
