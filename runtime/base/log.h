#pragma once
// What the program says to a person: one line at a time, from whichever rank speaks.

#include <string_view>

namespace trireme {

/// To standard output, whole lines, at once. For looking: where it cannot be written, that is told once on standard
/// error, and the program goes on.
void say(std::string_view line);

/// The same for what a run was made for: where standard output cannot be written the line goes to standard error, and
/// the answer is false.
[[nodiscard]] bool say_result(std::string_view line);

/// To standard output, at once. False, with the cause in errno, where it cannot be written.
[[nodiscard]] bool write_out(std::string_view text);

/// To standard error: "trireme: warning: " and the line. What cannot be written there is lost.
void warn(std::string_view line);

}  // namespace trireme
