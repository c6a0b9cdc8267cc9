#pragma once
// The folder of log.dir, and the lines that a run adds to it. They are for looking: none of it ends a run that trains.

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/base/file_lock.h"
#include "runtime/base/system_call.h"

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
  void give_up();

  std::string path_;
  int descriptor_ = -1;
  bool is_regular_ = false;
  std::int64_t bytes_ = 0;  // of whole lines
};

/// Folders that were not there before: they go again where they are empty at the end, unless they are to be kept.
class MadeFolders {
 public:
  MadeFolders() = default;
  ~MadeFolders();
  MadeFolders(const MadeFolders&) = delete;

  /// The folder and those above it.
  void make(const std::string& path, std::error_code& failed);
  void keep() { made_.clear(); }

 private:
  std::vector<std::string> made_;  // the deepest first
};

/// Holds the folder of a run from before the run is known to start until it ends.
///
/// Promise  nothing of an earlier run is changed before take_over(); without it nothing is left of this one, either. No
///          other run writes there while this one holds it.
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
  MadeFolders made_;
  std::optional<FileLock> lock_;  // in them: goes first
  bool is_there_ = true;
};

/// "path: cannot be written: cause; ..." as a warning: the run goes on without `path`.
void warn_of_lost_log(const std::string& path, const SystemCall& cause);

}  // namespace trireme
