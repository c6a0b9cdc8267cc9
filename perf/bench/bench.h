#pragma once
// What benches share: buffers, and the best time of a few.

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "runtime/base/tensor_view.h"

namespace trireme::bench {

/// 64-byte aligned memory, written once.
class Memory {
 public:
  explicit Memory(Bytes bytes)
      : bytes_(align_up(std::max<Bytes>(bytes, 64), 64)),
        data_(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<std::size_t>(bytes_)))) {
    std::memset(data_.get(), 0, static_cast<std::size_t>(bytes_));
  }
  View bytes() const { return {data_.get(), DType::byte, bytes_}; }
  View matrix(DType type, Elems rows, Elems cols) const { return {data_.get(), type, rows, cols}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  Bytes bytes_;
  std::unique_ptr<std::byte, Free> data_;
};

/// Seconds since some start, and those that the calling thread has computed for.
inline double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Seconds of the fastest of `runs`: other work on the machine only slows one. Of work that this thread does alone, the
/// thread's own time tells more on a shared machine.
template <typename Run>
double best_seconds(int runs, Run run, double (*now)() = wall_seconds) {
  double best = 1e300;
  for (int i = 0; i < runs; ++i) {
    const double start = now();
    run();
    best = std::min(best, now() - start);
  }
  return best;
}

}  // namespace trireme::bench
