#pragma once
// What a call of the system returned and, where it failed, why.

#include <cstdint>
#include <string>

namespace trireme {

/// The result of a call with its errno, taken directly behind the call. In the argument list of a message errno may be
/// read before the call is made, and what makes the message may change it:
///
///   const SystemCall renamed(::rename(from, to));
///   require(renamed.succeeded(), ErrorKind::data, "{} cannot be renamed: {}", from, renamed.reason());
class SystemCall {
 public:
  /// Of a call that returns a negative number for failure and sets errno.
  explicit SystemCall(std::int64_t result);
  /// Of a call that returns the error's number itself, and 0 for success.
  static SystemCall returned(int error);

  bool succeeded() const { return error_ == 0; }
  std::int64_t result() const { return result_; }
  /// As in errno; 0 for success.
  int error() const { return error_; }
  /// No more files may be opened, by this process or on this machine.
  bool lacks_descriptors() const;
  /// The system's words, and the limit that stands behind them: "Too many open files (ulimit -n is 1024; raise it)".
  std::string reason() const;
  /// The disk or the quota is used up.
  bool lacks_space() const;
  /// For the end of a message on a file that cannot be written, where another place or more space helps, else empty:
  /// "; free space or choose another place".
  std::string place_advice() const;

 private:
  std::int64_t result_;
  int error_;
};

}  // namespace trireme
