#include "runtime/base/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/error.h"

namespace trireme {
namespace {

Bytes size_of(int descriptor, const std::string& path) {
  struct stat status {};
  require(::fstat(descriptor, &status) == 0, ErrorKind::data, "{}: {}", path, std::strerror(errno));
  require(S_ISREG(status.st_mode), ErrorKind::data, "{}: not a file; name one", path);
  return status.st_size;
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  // Without O_NONBLOCK a FIFO would wait for its writer before it could be refused.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  require(descriptor_ >= 0, ErrorKind::data, "{}: {}; give the path of a file that this user may read", path, std::strerror(errno));
  try {
    size_bytes_ = size_of(descriptor_, path);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_bytes_(other.size_bytes_) {}

void InputFile::read(Bytes offset, void* out, Bytes bytes) const {
  auto* at = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, at, static_cast<std::size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::data, "{}: cannot read: {}", path_, std::strerror(errno));
    require(got > 0, ErrorKind::data, "{}: ends at byte {}, {} bytes early; was it changed during the run?", path_, offset,
            bytes);
    at += got, offset += got, bytes -= got;
  }
}

}  // namespace trireme
