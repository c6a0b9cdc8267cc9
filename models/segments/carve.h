#pragma once
// Cuts a block of bytes into tensors. The same code that cuts also counts: cutting nothing gives the size.

#include <cstddef>

#include "runtime/base/tensor_view.h"

namespace trireme {

class Carve {
 public:
  /// Counts only.
  Carve() = default;
  /// Cuts `block`, a view of bytes. Pointers are 64-byte aligned when the block is.
  explicit Carve(ConstView block)
      : base_(const_cast<std::byte*>(static_cast<const std::byte*>(block.data))), size_bytes_(block.bytes()) {}

  View take(DType type, Elems rows, Elems cols) {
    const View view(base_ ? base_ + used_bytes_ : nullptr, type, rows, cols);
    used_bytes_ += align_up(view.bytes(), 64);
    ensure(!base_ || used_bytes_ <= size_bytes_, "a block of {} bytes is too small: {} needed", size_bytes_,
           used_bytes_);
    return view;
  }
  View take_bytes(Bytes bytes) { return take(DType::byte, 1, bytes); }
  Bytes used_bytes() const { return used_bytes_; }

 private:
  std::byte* base_ = nullptr;
  Bytes size_bytes_ = 0, used_bytes_ = 0;
};

}  // namespace trireme
