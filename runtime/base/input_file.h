#pragma once
// A file that a run reads, with pread and never mapped.

#include <string>

#include "runtime/base/units.h"

namespace trireme {

/// An open regular file. Reading is safe from any thread.
class InputFile {
 public:
  /// Errors: Error(data) with path and reason: missing, not readable, not a regular file.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  Bytes size_bytes() const { return size_bytes_; }  // when it was opened
  /// Exactly `bytes` from `offset` on. Errors: Error(data) when the file got shorter.
  void read(Bytes offset, void* out, Bytes bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  Bytes size_bytes_ = 0;
};

}  // namespace trireme
