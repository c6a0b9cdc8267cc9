#include "runtime/base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace trireme {
namespace {

constexpr std::size_t name_bytes = 256;

// flock() is a lock of the open file, also over NFS, where Linux makes it one of the server.
int try_lock(int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

}  // namespace

FileLock::FileLock(std::string path, Missing missing) : path_(std::move(path)) {
  // Whoever held it may have removed the file between open and lock: then the lock is on a file that nobody else finds.
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    open(missing);
  } while (state_ == State::held && !is_at_path());
}

void FileLock::open(Missing missing) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | (missing == Missing::make ? O_CREAT : 0), 0644);
  if (descriptor_ < 0) {
    error_ = {errno, std::generic_category()};
    state_ = State::failed;
    return;
  }
  const int failed = try_lock(descriptor_);
  state_ = failed == 0 ? State::held : failed == EWOULDBLOCK ? State::busy : State::unsupported;
}

bool FileLock::is_at_path() const {
  struct stat own {
  }, there{};
  return ::fstat(descriptor_, &own) == 0 && ::stat(path_.c_str(), &there) == 0 && own.st_dev == there.st_dev &&
         own.st_ino == there.st_ino;
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  if (state_ == State::held && is_at_path()) ::unlink(path_.c_str());
  ::close(descriptor_);
}

void FileLock::sign() const {
  char name[name_bytes] = {};
  ::gethostname(name, sizeof name - 1);
  const std::string text = fmt::format("process {} on {}\n", ::getpid(), static_cast<const char*>(name));
  if (::ftruncate(descriptor_, 0) != 0) return;
  [[maybe_unused]] const ssize_t put = ::pwrite(descriptor_, text.data(), text.size(), 0);
}

std::string FileLock::holder() const {
  char text[name_bytes + 64] = {};
  const ssize_t got = ::pread(descriptor_, text, sizeof text - 1, 0);
  const std::string line(text, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return line.empty() ? "another process" : line.substr(0, line.find('\n'));
}

}  // namespace trireme
