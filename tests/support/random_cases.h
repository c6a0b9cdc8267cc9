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

/// Whether this is a build in which long lists of layouts are cut short.
constexpr bool is_sanitized = random_cases(5) < 5;

}  // namespace trireme
