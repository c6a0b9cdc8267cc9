#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// Memory that this node can still give: the smaller of MemAvailable and what the cgroup (v1 or v2) has left.
Bytes available_memory_bytes();

}  // namespace trireme
