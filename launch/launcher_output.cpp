#include "launch/launcher_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "runtime/base/units.h"

namespace trireme {
namespace {

bool is_launcher(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  std::getline(file, name);
  name.resize(std::min(name.find('.'), name.size()));  // mpirun.openmpi, where several MPIs are installed
  constexpr std::array names = {"mpirun", "mpiexec", "orterun", "prterun"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_nearly_full(const std::string& path) {
  struct statvfs status {};
  constexpr Bytes little = MiB;
  return ::statvfs(path.c_str(), &status) == 0 &&
         static_cast<Bytes>(status.f_bavail) * static_cast<Bytes>(status.f_frsize) < little;
}

// mpirun may put a mark of its own before every line (--tag-output).
bool has_lines(std::string_view text, std::string_view lines) {
  for (std::size_t at = 0, end = 0; at < lines.size(); at = end + 1) {
    end = std::min(lines.find('\n', at), lines.size());
    if (text.find(lines.substr(at, end - at)) == std::string_view::npos) return false;
  }
  return true;
}

bool ends_with_lines(const std::string& path, std::string_view lines, Bytes behind) {
  constexpr Bytes tail_bytes = 16 * KiB;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return true;  // not to be known
  const auto size = static_cast<Bytes>(file.tellg());
  file.seekg(static_cast<std::streamoff>(std::max({Bytes{0}, size - tail_bytes, behind <= size ? behind : 0})));
  const std::string tail(std::istreambuf_iterator<char>(file), {});
  return has_lines(tail, lines);
}

// mpirun forwards soon, not at once.
bool arrives_in_file(const std::string& path, std::string_view lines, Bytes behind) {
  using namespace std::chrono_literals;
  constexpr int looks = 40;
  for (int i = 0; i < looks; ++i) {
    if (ends_with_lines(path, lines, behind)) return true;
    std::this_thread::sleep_for(50ms);
  }
  return false;
}

// A pipe that nobody reads is in error; a device that is full says so to a write of nothing.
std::string device_failure(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file < 0) return errno == ENXIO ? std::strerror(EPIPE) : "";
  pollfd state{.fd = file, .events = 0, .revents = 0};
  int cause = ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0 ? EPIPE : 0;
  if (cause == 0 && ::write(file, "", 0) < 0 && errno != EAGAIN) cause = errno;
  ::close(file);
  return cause == 0 ? "" : std::strerror(cause);
}

// Of mpirun, where it is the parent; else empty.
std::string launcher_output() {
  static const pid_t parent = ::getppid();
  static const bool launched = is_launcher(parent);
  return launched ? fmt::format("/proc/{}/fd/1", parent) : "";
}

}  // namespace

bool launcher_pipe_is_closed() {
  const std::string path = launcher_output();
  struct stat status {};
  return !path.empty() && ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode) &&
         !device_failure(path).empty();
}

Bytes launcher_output_bytes() {
  const std::string path = launcher_output();
  struct stat status {};
  return !path.empty() && ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

std::string launcher_output_failure(std::string_view lines, Bytes behind) {
  const std::string path = launcher_output();
  struct stat status {};
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return "";
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) return device_failure(path);
  if (!S_ISREG(status.st_mode) || !is_nearly_full(path)) return "";  // a socket tells nobody but who writes into it
  return arrives_in_file(path, lines, behind) ? "" : std::strerror(ENOSPC);
}

}  // namespace trireme
