#pragma once
// Memory of one process that another process of the node maps.

#include <cstddef>
#include <cstdint>

#include "runtime/base/units.h"

namespace trireme {

/// An open file of a process, as another process of the node and user finds it. Plain numbers: it travels as bytes.
struct SharedFile {
  std::int64_t process = 0, number = -1;
  std::uint64_t device = 0, inode = 0;  // tell whether what was found is the file that was meant
  Bytes bytes = 0;
};

/// Errors: Error(comm) where `file` is none.
SharedFile name_file(int file);

enum class FileAccess { read, write };

/// A peer's file in this process's memory until the end; its pages appear as they are touched.
class SharedMapping {
 public:
  /// Opens /proc/PROCESS/fd/NUMBER: no name in any file system, no socket, and no message beside the numbers.
  ///
  /// Errors  Error(comm) with the reason where the process cannot be seen (another namespace of processes), does not
  ///         let itself be looked at, or the file found is another one; Error(plan) where no memory is left to map it.
  SharedMapping(const SharedFile& file, FileAccess access);
  SharedMapping(SharedMapping&& other) noexcept;
  SharedMapping& operator=(SharedMapping&&) = delete;
  ~SharedMapping();

  std::byte* data() const { return data_; }
  Bytes bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  Bytes bytes_ = 0;
};

}  // namespace trireme
