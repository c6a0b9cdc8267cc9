#include "runtime/base/log.h"

#include <fmt/format.h>

#include <cstdio>

namespace trireme {

void say(std::string_view line) {
  fmt::print(stdout, "{}\n", line);
  std::fflush(stdout);
}

}  // namespace trireme
