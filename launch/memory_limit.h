#pragma once

#include <string>

#include "runtime/base/units.h"

namespace trireme {

/// Memory that this node can still give: the smallest of MemAvailable and what the cgroup of this process (v1 or v2) and
/// each of its parents have left. File pages that the kernel drops when memory is wanted count as left.
/// `root`: where proc/ and sys/ lie; empty but in tests.
Bytes available_memory_bytes(const std::string& root = "");

}  // namespace trireme
