#include "launch/log_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// A disk, a quota or `ulimit -f`.
bool is_full(const std::error_code& error) {
  return error == std::errc::no_space_on_device || error == std::errc::file_too_large ||
         error == std::error_code(EDQUOT, std::generic_category());
}

int open_empty(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
}

}  // namespace

void warn_of_lost_log(const std::string& path, const std::string& cause) {
  warn(fmt::format(
      "{}: cannot be written: {}; the run goes on without it; free space, or choose another log.dir next time", path,
      cause));
}

LineFile::LineFile(const std::string& path) : path_(path), descriptor_(open_empty(path)) {
  const int cause = errno;
  if (descriptor_ < 0) warn_of_lost_log(path, std::strerror(cause));
  struct stat status {};
  is_regular_ = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 0;
}

LineFile::~LineFile() {
  // Some file systems tell only now that a line did not reach the disk.
  if (descriptor_ < 0 || ::close(descriptor_) == 0) return;
  const int cause = errno;
  warn_of_lost_log(path_, std::strerror(cause));
}

bool LineFile::was_removed() const {
  struct stat status {};
  return is_regular_ && ::fstat(descriptor_, &status) == 0 && status.st_nlink == 0;
}

void LineFile::give_up(const std::string& cause) {
  // Half a line would make the whole file unreadable to a program.
  [[maybe_unused]] const bool cut = is_regular_ && ::ftruncate(descriptor_, bytes_) == 0;
  ::close(descriptor_);
  descriptor_ = -1;
  warn_of_lost_log(path_, cause);
}

void LineFile::add(const std::string& line) {
  if (descriptor_ < 0) return;
  if (was_removed()) return give_up("it was removed while the run wrote it");
  const std::string text = line + "\n";
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t put = ::write(descriptor_, text.data() + at, text.size() - at);
    const int cause = put < 0 ? errno : EIO;
    if (put > 0)
      at += static_cast<std::size_t>(put);
    else if (cause != EINTR)
      return give_up(std::strerror(cause));
  }
  bytes_ += static_cast<std::int64_t>(text.size());
}

LogFolder::LogFolder(std::string dir, bool replaces)
    : dir_(std::move(dir)), steps_(dir_ + "/steps.jsonl"), trace_(dir_ + "/trace.json") {
  make();
  if (!is_there_) return;
  if (lock_->state() == FileLock::State::busy)
    throw Error(ErrorKind::config,
                fmt::format("log.dir = {}: another run writes there ({}); wait for its end, or choose "
                            "another log.dir",
                            dir_, lock_->holder()));
  check_left(steps_, replaces), check_left(trace_, replaces);
  lock_->sign();
}

void LogFolder::make() {
  std::error_code failed;
  fs::create_directories(dir_, failed);
  const char* what = "cannot be made";
  if (!failed) {
    what = "cannot be written";
    lock_.emplace(dir_ + "/run.lock");
    failed = lock_->error();
  }
  is_there_ = !failed;
  if (is_full(failed)) return warn_of_lost_log(dir_, failed.message());
  require(!failed, ErrorKind::data, "log.dir = {}: {}: {}; choose a folder that this user may write", dir_, what,
          failed.message());
}

// An empty file, or a link to a device, is nobody's log.
void LogFolder::check_left(const std::string& path, bool replaces) const {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (!fs::exists(status)) return;
  require(!fs::is_directory(status), ErrorKind::data, "{}: cannot be written: it is a folder; choose another log.dir",
          path);
  const int cause = ::access(path.c_str(), W_OK) == 0 ? 0 : errno;
  require(cause == 0, ErrorKind::data, "{}: cannot be written: {}; choose another log.dir", path, std::strerror(cause));
  require(replaces || !fs::is_regular_file(status) || fs::file_size(path, failed) == 0, ErrorKind::config,
          "log.dir = {}: {} is there already, the log of another run; choose another log.dir, or give log.existing = "
          "\"replace\" to write over it",
          dir_, fs::path(path).filename().string());
}

std::string LogFolder::take_over() {
  if (!is_there_) return "";
  // It would be taken for this run's, should this one not come to its own.
  std::error_code failed;
  if (fs::is_regular_file(fs::symlink_status(trace_, failed))) fs::remove(trace_, failed);
  return steps_;
}

}  // namespace trireme
