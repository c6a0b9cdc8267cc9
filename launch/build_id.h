#pragma once

#include <string>

namespace trireme {

/// xxh3 of the program file that runs, so that ranks with different builds find out. Errors: Error(data) where it
/// cannot be read.
std::string build_id();

}  // namespace trireme
