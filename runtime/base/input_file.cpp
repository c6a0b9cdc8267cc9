#include "runtime/base/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/system_call.h"

namespace trireme {

InputFile::Identity InputFile::identify(int descriptor, const std::string& path) {
  struct stat status {};
  const SystemCall looked(::fstat(descriptor, &status));
  require(looked.succeeded(), ErrorKind::data, "{}: {}", path, looked.reason());
  require(S_ISREG(status.st_mode), ErrorKind::data, "{}: not a file; name one", path);
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size_bytes = status.st_size,
          .modified_s = status.st_mtim.tv_sec,
          .modified_ns = status.st_mtim.tv_nsec};
}

InputFile::InputFile(const std::string& path) : path_(path) {
  const std::shared_ptr<const Descriptor> descriptor = open();
  identity_ = identify(descriptor->number(), path);
  file_ = OpenFiles::of_process().add();
  OpenFiles::of_process().keep(file_, descriptor);
}

InputFile::~InputFile() {
  if (file_ != 0) OpenFiles::of_process().forget(file_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, 0)), identity_(other.identity_) {}

std::shared_ptr<const Descriptor> InputFile::open() const {
  for (;;) {
    // Without O_NONBLOCK a FIFO would wait for its writer before it could be refused.
    const SystemCall opened(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (opened.succeeded()) return std::make_shared<const Descriptor>(static_cast<int>(opened.result()));
    if (opened.lacks_descriptors() && OpenFiles::of_process().close_one()) continue;
    require(opened.lacks_descriptors(), ErrorKind::data, "{}: {}; give the path of a file that this user may read",
            path_, opened.reason());
    throw Error(ErrorKind::data, fmt::format("{}: {}", path_, opened.reason()));
  }
}

std::shared_ptr<const Descriptor> InputFile::open_again() const {
  std::shared_ptr<const Descriptor> descriptor = open();
  require(identify(descriptor->number(), path_) == identity_, ErrorKind::data,
          "{}: was replaced or changed during the run; start again, and leave the files as they are meanwhile", path_);
  OpenFiles::of_process().keep(file_, descriptor);
  return descriptor;
}

void InputFile::read(Bytes offset, void* out, Bytes bytes) const {
  std::shared_ptr<const Descriptor> descriptor = OpenFiles::of_process().find(file_);
  if (!descriptor) descriptor = open_again();
  auto* at = static_cast<char*>(out);
  while (bytes > 0) {
    const SystemCall got(::pread(descriptor->number(), at, static_cast<std::size_t>(bytes), offset));
    if (got.error() == EINTR) continue;
    require(got.succeeded(), ErrorKind::data, "{}: cannot read: {}", path_, got.reason());
    require(got.result() > 0, ErrorKind::data, "{}: ends at byte {}, {} bytes early; was it changed during the run?",
            path_, offset, bytes);
    at += got.result(), offset += got.result(), bytes -= got.result();
  }
}

}  // namespace trireme
