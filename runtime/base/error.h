#pragma once
// One error type. `require` is for the world's faults, `ensure` for ours; both throw; whoever knows more
// (rank, op, line) catches to add it, and `main` prints.

#include <fmt/format.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace trireme {

/// What went wrong, and with it the exit code of the process (design 8).
enum class ErrorKind { config, plan, data, checkpoint, numeric, comm, device, bug };

/// config 2, plan 3, data 4, checkpoint 5, numeric 6, comm 7, device 8, bug 70.
int exit_code(ErrorKind kind);
const char* name(ErrorKind kind);

/// A message that says what, where and what to do. Context (rank, step, op) is added in front on the way up.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::source_location where = std::source_location::current())
      : std::runtime_error(message), kind_(kind), where_(where) {}

  ErrorKind kind() const { return kind_; }
  std::source_location where() const { return where_; }

  /// The same error with "context: " in front of its message.
  Error with_context(const std::string& context) const { return {kind_, context + ": " + what(), where_}; }

 private:
  ErrorKind kind_;
  std::source_location where_;
};

/// A format string that remembers where it was written.
template <typename... Args>
struct LocatedFormat {
  template <typename T>
  consteval LocatedFormat(const T& text, std::source_location location = std::source_location::current())
      : format(text), where(location) {}
  fmt::format_string<Args...> format;
  std::source_location where;
};

/// Throws Error(kind) when the world did not hold up: bad input, a full disk, a lost peer.
template <typename... Args>
void require(bool holds, ErrorKind kind, LocatedFormat<std::type_identity_t<Args>...> text, Args&&... args) {
  if (!holds) throw Error(kind, fmt::format(text.format, std::forward<Args>(args)...), text.where);
}

/// Throws Error(bug), exit code 70, when our own reasoning did not hold up.
template <typename... Args>
void ensure(bool holds, LocatedFormat<std::type_identity_t<Args>...> text, Args&&... args) {
  if (!holds) throw Error(ErrorKind::bug, fmt::format(text.format, std::forward<Args>(args)...), text.where);
}

}  // namespace trireme
