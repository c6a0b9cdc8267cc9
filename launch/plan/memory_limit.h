#pragma once

#include <string>

#include "runtime/base/units.h"

namespace trireme {

/// Memory that this node has for those who hold `own_bytes` of it by now, these included: the smallest of MemAvailable
/// and what the cgroup of this process (v1 or v2) and each of its parents have left. File pages that the kernel drops
/// when memory is wanted count as left. No cgroup has more than its limit. `root`: where proc/ and sys/ lie; empty but
/// in tests.
Bytes available_memory_bytes(Bytes own_bytes = 0, const std::string& root = "");

/// What the kernel itself holds for a process, and holes between blocks of its heap: left free beside what is planned.
inline constexpr Bytes room_bytes = 4 * MiB;

/// What each of `processes` like this one on this node may take of its heap while it builds programs.
Bytes building_limit_bytes(int processes);

}  // namespace trireme
