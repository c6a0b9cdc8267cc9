#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// What a rank's process holds besides its arena: code, MPI, threads' stacks. A run of two ranks over an arena of 0.6 MiB
/// had 19 MiB resident on each (9.8 MiB where pages that ranks share count once); rounded up, so plans err to the safe side.
inline constexpr Bytes process_remainder_bytes = 20 * MiB;

}  // namespace trireme
