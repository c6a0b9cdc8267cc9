#include "launch/train/log_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

void warn_of_loss(const std::string& path, const std::string& cause, const char* space) {
  warn(fmt::format("{}: cannot be written: {}; the run goes on without it; {}choose another log.dir next time", path,
                   cause, space));
}

int open_empty(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
}

}  // namespace

void warn_of_lost_log(const std::string& path, const SystemCall& cause) {
  warn_of_loss(path, cause.reason(), cause.lacks_space() ? "free space, or " : "");
}

LineFile::LineFile(const std::string& path) : path_(path) {
  const SystemCall opened(open_empty(path));
  descriptor_ = static_cast<int>(opened.result());
  if (!opened.succeeded()) warn_of_lost_log(path, opened);
  struct stat status {};
  is_regular_ = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 0;
}

LineFile::~LineFile() {
  // Some file systems tell only now that a line did not reach the disk.
  if (descriptor_ < 0) return;
  const SystemCall closed(::close(descriptor_));
  if (!closed.succeeded()) warn_of_lost_log(path_, closed);
}

bool LineFile::was_removed() const {
  struct stat status {};
  return is_regular_ && ::fstat(descriptor_, &status) == 0 && status.st_nlink == 0;
}

void LineFile::give_up() {
  // Half a line would make the whole file unreadable to a program.
  [[maybe_unused]] const bool cut = is_regular_ && ::ftruncate(descriptor_, bytes_) == 0;
  ::close(descriptor_);
  descriptor_ = -1;
}

void LineFile::add(const std::string& line) {
  if (descriptor_ < 0) return;
  if (was_removed()) {
    give_up();
    return warn_of_loss(path_, "it was removed while the run wrote it", "");
  }
  const std::string text = line + "\n";
  for (std::size_t at = 0; at < text.size();) {
    const SystemCall put(::write(descriptor_, text.data() + at, text.size() - at));
    if (put.result() > 0) {
      at += static_cast<std::size_t>(put.result());
    } else if (put.error() != EINTR) {
      give_up();
      return warn_of_lost_log(path_, put.succeeded() ? SystemCall::returned(EIO) : put);
    }
  }
  bytes_ += static_cast<std::int64_t>(text.size());
}

void MadeFolders::make(const std::string& path, std::error_code& failed) {
  std::error_code unknown;
  for (fs::path folder = path; !folder.empty() && !fs::exists(folder, unknown); folder = folder.parent_path())
    if (folder.has_filename()) made_.push_back(folder);
  fs::create_directories(path, failed);
}

MadeFolders::~MadeFolders() {
  for (const std::string& folder : made_) ::rmdir(folder.c_str());  // of others' files it keeps its hands
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
  made_.make(dir_, failed);
  const char* what = "cannot be made";
  if (!failed) {
    what = "cannot be written";
    lock_.emplace(dir_ + "/run.lock");
    failed = lock_->error();
  }
  is_there_ = !failed;
  const SystemCall made = SystemCall::returned(failed.value());
  if (made.lacks_space() || made.error() == EFBIG) return warn_of_lost_log(dir_, made);
  require(made.succeeded(), ErrorKind::data, "log.dir = {}: {}: {}{}", dir_, what, made.reason(),
          made.lacks_descriptors() ? "" : "; choose a folder that this user may write");
}

// An empty file, or a link to a device, is nobody's log.
void LogFolder::check_left(const std::string& path, bool replaces) const {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (!fs::exists(status)) return;
  require(!fs::is_directory(status), ErrorKind::data, "{}: cannot be written: it is a folder; choose another log.dir",
          path);
  const SystemCall writable(::access(path.c_str(), W_OK));
  require(writable.succeeded(), ErrorKind::data, "{}: cannot be written: {}; choose another log.dir", path,
          writable.reason());
  require(replaces || !fs::is_regular_file(status) || fs::file_size(path, failed) == 0, ErrorKind::config,
          "log.dir = {}: {} is there already, the log of another run; choose another log.dir, or give log.existing = "
          "\"replace\" to write over it",
          dir_, fs::path(path).filename().string());
}

std::string LogFolder::take_over() {
  made_.keep();
  if (!is_there_) return "";
  // It would be taken for this run's, should this one not come to its own.
  std::error_code failed;
  if (fs::is_regular_file(fs::symlink_status(trace_, failed))) fs::remove(trace_, failed);
  return steps_;
}

}  // namespace trireme
