#include "runtime/base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace trireme {
namespace {

// Not through a buffer, which would hide what was not written. A pipe may be set not to block by whoever shares it.
bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(file, text.data(), text.size());
    if (put > 0) {
      text.remove_prefix(static_cast<std::size_t>(put));
    } else if (put < 0 && errno == EAGAIN) {
      pollfd writable{.fd = file, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    } else if (put == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

std::atomic<bool> warned{false};

bool put_line(std::string_view line) {
  static std::atomic<bool> torn{false};  // a disk that was full for a while: the next line begins anew
  if (write_out(fmt::format("{}{}\n", torn ? "\n" : "", line))) {
    torn = false;
    return true;
  }
  const int cause = errno;
  torn = true;
  if (!warned.exchange(true))
    warn(fmt::format("standard output cannot be written: {}; the run goes on, and what it says is lost",
                     std::strerror(cause)));
  return false;
}

}  // namespace

bool write_out(std::string_view text) {
  std::fflush(stdout);
  return write_all(STDOUT_FILENO, text);
}

void say(std::string_view line) { put_line(line); }

bool say_result(std::string_view line) {
  if (put_line(line)) return true;
  write_all(STDERR_FILENO, fmt::format("{}\n", line));
  return false;
}

void warn(std::string_view line) { write_all(STDERR_FILENO, fmt::format("trireme: warning: {}\n", line)); }

}  // namespace trireme
