#pragma once
// Counter-based random numbers: a value is a function of (seed, stream, index), never of who asks or in which order.

#include <array>
#include <cstdint>
#include <string_view>

namespace trireme {

/// Philox4x32-10. Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// One stream of numbers, addressed by index.
class Random {
 public:
  /// `stream` names what the numbers are for (a tensor's name, "data epoch 3").
  Random(std::uint64_t seed, std::string_view stream);

  std::uint64_t bits(std::uint64_t index) const;
  /// Uniform in the open interval (0, 1), 52 bits.
  double uniform(std::uint64_t index) const;
  /// Uniform in [0, bound), by 64-bit multiply-high (a bias below bound / 2^64). Needs bound > 0.
  std::uint64_t below(std::uint64_t index, std::uint64_t bound) const;
  /// Standard normal by the inverse distribution function; our own arithmetic only, so equal on every machine.
  /// Source: Wichura 1988, AS 241 (PPND16).
  double normal(std::uint64_t index) const;

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> stream_;
};

}  // namespace trireme
