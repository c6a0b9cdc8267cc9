#pragma once
// Memory taken from the system in one piece.

#include <cstddef>

#include "runtime/base/units.h"
#include "runtime/device/device.h"

namespace trireme::cpu {

/// Zeroed pages at a 2 MiB boundary (huge pages where the system has them), present from their first use or populate()
/// on. Given back at the end; what other processes have mapped of shared pages stays theirs until they let go.
class Arena {
 public:
  /// Errors: Error(plan) with the size, the system's reason and the limit behind it when there is not that much.
  explicit Arena(Bytes bytes, Pages pages = Pages::own);
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  std::byte* data() const { return data_; }
  /// Makes every page present; streams may run. Errors: Error(plan) as above.
  void populate();
  /// The file that begins with the first byte; -1 for own pages.
  int file() const { return file_; }

 private:
  Arena() = default;

  std::byte* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  std::byte* data_ = nullptr;
  Bytes data_bytes_ = 0;  // whole pages
  int file_ = -1;
};

}  // namespace trireme::cpu
