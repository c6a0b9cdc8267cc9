#pragma once
// When this rank waited for peers that had not come yet: what a step calls skew.

#include <array>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <span>

namespace trireme {

/// [start, end) on the clock that all ranks of a node share.
struct WaitInterval {
  std::chrono::steady_clock::time_point start, end;
};

/// The latest intervals, in order. Fixed memory: beyond the capacity the oldest are lost.
///
/// Threads  one adds, any other takes.
class WaitLog {
 public:
  static constexpr std::size_t capacity = 4096;

  void add(const WaitInterval& interval);
  /// Moves the oldest intervals into `into`; how many.
  std::size_t take(std::span<WaitInterval> into);

 private:
  std::mutex mutex_;
  std::array<WaitInterval, capacity> ring_{};
  std::size_t first_ = 0, count_ = 0;
};

}  // namespace trireme
