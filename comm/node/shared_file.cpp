#include "comm/node/shared_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "runtime/base/error.h"

namespace trireme {
namespace {

/// Closed at the end of the scope: a mapping needs its file no more.
class OpenFile {
 public:
  OpenFile(const std::string& path, Access access)
      // Not blocking: a number of another namespace may stand for a pipe.
      : file_(open(path.c_str(), (access == Access::read ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    require(file_ >= 0, ErrorKind::comm, "{}: {}", path, std::strerror(errno));
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { close(file_); }
  int number() const { return file_; }

 private:
  int file_;
};

}  // namespace

SharedFile name_file(int file) {
  struct stat status {};
  require(fstat(file, &status) == 0, ErrorKind::comm, "the memory to share: {}", std::strerror(errno));
  return {
      .process = getpid(), .number = file, .device = status.st_dev, .inode = status.st_ino, .bytes = status.st_size};
}

SharedMapping::SharedMapping(const SharedFile& file, Access access) : bytes_(file.bytes) {
  const std::string path = fmt::format("/proc/{}/fd/{}", file.process, file.number);
  const OpenFile opened(path, access);
  const SharedFile found = name_file(opened.number());
  require(found.device == file.device && found.inode == file.inode && found.bytes == file.bytes, ErrorKind::comm,
          "{} is not the peer's memory: its processes have other numbers here", path);
  const int protection = access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
  void* mapping = mmap(nullptr, static_cast<std::size_t>(bytes_), protection, MAP_SHARED, opened.number(), 0);
  require(mapping != MAP_FAILED, ErrorKind::comm, "mapping {} of {}: {}", format_bytes(bytes_), path,
          std::strerror(errno));
  data_ = static_cast<std::byte*>(mapping);
}

SharedMapping::SharedMapping(SharedMapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}

SharedMapping::~SharedMapping() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(bytes_));
}

}  // namespace trireme
