#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "runtime/base/tensor_view.h"

namespace trireme {

/// Workspace for a kernel: 64-byte aligned, exactly as long as asked for, full of NaN.
class AlignedBytes {
 public:
  explicit AlignedBytes(Bytes bytes)
      : bytes_(bytes),
        memory_(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<std::size_t>(align_up(bytes + 1, 64))))) {
    std::fill_n(memory_.get(), align_up(bytes + 1, 64), std::byte{0xff});
  }
  View view() { return {memory_.get(), DType::byte, bytes_}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  Bytes bytes_;
  std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace trireme
