#pragma once
// What the program says to a person: one line at a time, from whichever rank speaks.

#include <string_view>

namespace trireme {

/// To standard output, whole lines, flushed.
void say(std::string_view line);

}  // namespace trireme
