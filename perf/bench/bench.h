#pragma once
// What benches share: buffers, and the best time of a few.

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

/// Seconds of the fastest of `runs`: other work on the machine only slows one.
template <typename Run>
double best_seconds(int runs, Run run) {
  double best = 1e300;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace trireme::bench
