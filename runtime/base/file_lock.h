#pragma once
// A file that one process holds, so that a second run does not write what a first one is writing.

#include <string>
#include <system_error>

namespace trireme {

/// A lock on a whole file, which the system lets go when the process ends, however it ends.
///
/// Promise  of all locks on one path, in any processes of any machines that share it, one is held at a time; who only
///          reads files in the folder does not meet it. What the file holds is not touched, but for a line of the
///          holder.
/// Threads  locks of one process exclude each other, too.
class FileLock {
 public:
  enum class State {
    held,
    busy,         // another holds it: holder()
    unsupported,  // this file system has no locks
    failed        // the file cannot be made or opened: error()
  };
  enum class Missing { make, fail };

  /// Opens `path` to write, and tries once. Missing::fail: a file that is not there is no_such_file.
  explicit FileLock(std::string path, Missing missing = Missing::make);
  /// Removes the file where it is held and still lies at `path`.
  ~FileLock();
  FileLock(const FileLock&) = delete;

  State state() const { return state_; }
  std::error_code error() const { return error_; }
  /// Of the open file, to write.
  int descriptor() const { return descriptor_; }
  /// "process 12 on node3": leaves word to others who find it busy. A disk that is full takes none.
  void sign() const;
  std::string holder() const;

 private:
  void open(Missing missing);
  bool is_at_path() const;

  std::string path_;
  int descriptor_ = -1;
  State state_ = State::failed;
  std::error_code error_;
};

}  // namespace trireme
