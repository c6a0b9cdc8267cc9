#pragma once
// Memory taken from the system in one piece.

#include <cstddef>

#include "runtime/base/units.h"

namespace trireme::cpu {

/// Zeroed pages, all present, at a 2 MiB boundary (huge pages where the system has them). Given back at the end.
class Arena {
 public:
  /// Errors: Error(device) with the size and the system's reason when there is not that much.
  explicit Arena(Bytes bytes);
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  std::byte* data() const { return data_; }

 private:
  std::byte* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace trireme::cpu
