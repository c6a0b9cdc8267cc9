#include "launch/build_id.h"

#include <fmt/format.h>

#include "launch/token_file.h"

namespace trireme {

// The file as text, whose bytes are tokens: the reader that is there anyway.
std::string build_id() { return fmt::format("{:016x}", TokenFile("/proc/self/exe").summarize().hash); }

}  // namespace trireme
