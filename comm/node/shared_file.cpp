#include "comm/node/shared_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/memory_refusal.h"
#include "runtime/base/system_call.h"

namespace trireme {
namespace {

/// Closed at the end of the scope: a mapping needs its file no more.
class OpenFile {
 public:
  OpenFile(const std::string& path, FileAccess access)
      // Not blocking: a number of another namespace may stand for a pipe.
      : file_(
            open(path.c_str(), (access == FileAccess::read ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    require(file_.succeeded(), ErrorKind::comm, "{}: {}", path, file_.reason());
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { close(number()); }
  int number() const { return static_cast<int>(file_.result()); }

 private:
  SystemCall file_;
};

}  // namespace

SharedFile name_file(int file) {
  struct stat status {};
  const SystemCall looked(fstat(file, &status));
  require(looked.succeeded(), ErrorKind::comm, "the memory to share: {}", looked.reason());
  return {
      .process = getpid(), .number = file, .device = status.st_dev, .inode = status.st_ino, .bytes = status.st_size};
}

SharedMapping::SharedMapping(const SharedFile& file, FileAccess access) : bytes_(file.bytes) {
  const std::string path = fmt::format("/proc/{}/fd/{}", file.process, file.number);
  const OpenFile opened(path, access);
  const SharedFile found = name_file(opened.number());
  require(found.device == file.device && found.inode == file.inode && found.bytes == file.bytes, ErrorKind::comm,
          "{} is not the peer's memory: its processes have other numbers here", path);
  const int protection = access == FileAccess::read ? PROT_READ : PROT_READ | PROT_WRITE;
  void* mapping = mmap(nullptr, static_cast<std::size_t>(bytes_), protection, MAP_SHARED, opened.number(), 0);
  const SystemCall mapped(mapping != MAP_FAILED ? 0 : -1);
  if (mapped.error() == ENOMEM)
    throw memory_refused(fmt::format("the {} of a rank of this node, which are mapped here", format_bytes(bytes_)));
  require(mapped.succeeded(), ErrorKind::comm, "mapping {} of {}: {}", format_bytes(bytes_), path, mapped.reason());
  data_ = static_cast<std::byte*>(mapping);
}

SharedMapping::SharedMapping(SharedMapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}

SharedMapping::~SharedMapping() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(bytes_));
}

}  // namespace trireme
