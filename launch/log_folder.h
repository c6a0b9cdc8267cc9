#pragma once
// The folder of log.dir, and the lines that a run adds to it. They are for looking: none of it ends a run that trains.

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/file_lock.h"

namespace trireme {

/// A file of whole lines. What cannot be written any more is told once, on standard error; the rest is then dropped.
class LineFile {
 public:
  /// An empty file, or nothing and a warning.
  explicit LineFile(const std::string& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  void add(const std::string& line);

 private:
  bool was_removed() const;
  void give_up(const std::string& cause);

  std::string path_;
  int descriptor_ = -1;
  bool is_regular_ = false;
  std::int64_t bytes_ = 0;  // of whole lines
};

/// Holds the folder of a run from before the run is known to start until it ends.
///
/// Promise  nothing of an earlier run is changed before take_over(). No other run writes there while this one holds it.
class LogFolder {
 public:
  /// Makes the folder where it is missing. A full disk is no error: warns, and the run goes without a log.
  /// Errors: Error(config) where another run writes there, or has left its log and `replaces` is false; Error(data)
  /// where the folder or its files cannot be made or written.
  LogFolder(std::string dir, bool replaces);

  /// The run starts: what an earlier one left goes. Empty where there is no log; else the path of steps.jsonl.
  std::string take_over();
  /// Empty where there is no log.
  std::string trace_path() const { return is_there_ ? trace_ : ""; }

 private:
  void make();
  void check_left(const std::string& path, bool replaces) const;

  std::string dir_, steps_, trace_;
  std::optional<FileLock> lock_;
  bool is_there_ = true;
};

/// "path: cannot be written: cause; ..." as a warning: the run goes on without `path`.
void warn_of_lost_log(const std::string& path, const std::string& cause);

}  // namespace trireme
