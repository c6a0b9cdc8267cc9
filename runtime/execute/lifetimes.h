#pragma once
// At which op each step buffer is born and dies: what a checking device is told.

#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Per op, the step buffers that it is the first to use, and those whose every other use is complete when it ends.
struct Lifetimes {
  std::vector<std::vector<BufferId>> births, deaths;
};

/// A buffer without a use that all others precede has no death.
Lifetimes find_lifetimes(const Schedule& schedule);

}  // namespace trireme
