#pragma once
// A file that a run reads, with pread and never mapped.

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/open_files.h"
#include "runtime/base/units.h"

namespace trireme {

/// A regular file, as it was when this was made. It is open while it is among those that were read last (OpenFiles),
/// and opened again when it is read: any number of files may be named. Reading is safe from any thread.
class InputFile {
 public:
  /// Errors: Error(data) with path and reason: missing, not readable, not a regular file; no more may be opened (ulimit
  /// -n).
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  Bytes size_bytes() const { return identity_.size_bytes; }  // when it was opened first
  /// Exactly `bytes` from `offset` on. Errors: Error(data) when the file got shorter; when it was opened again and is
  /// another one, or was written to.
  void read(Bytes offset, void* out, Bytes bytes) const;

 private:
  /// What tells that a file is still the one whose content was looked at.
  struct Identity {
    std::uint64_t device = 0, inode = 0;
    Bytes size_bytes = 0;
    std::int64_t modified_s = 0, modified_ns = 0;
    bool operator==(const Identity&) const = default;
  };
  static Identity identify(int descriptor, const std::string& path);
  std::shared_ptr<const Descriptor> open() const;
  std::shared_ptr<const Descriptor> open_again() const;

  std::string path_;
  OpenFiles::File file_ = 0;  // 0: moved from
  Identity identity_;
};

}  // namespace trireme
