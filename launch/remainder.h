#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// What a rank's process holds besides its arena: code, MPI, threads' stacks. Measured as proportional set size of
/// ranks that train a model of no size to speak of; a named constant, not a guess per run.
inline constexpr Bytes process_remainder_bytes = 24 * MiB;

}  // namespace trireme
