#pragma once

#include "comm/communicator.h"
#include "shard/build_step.h"

namespace trireme {

/// Compares what all ranks must have in common of their programs: every collective, with its contributors.
/// Errors: AgreedError(config) with the first line in which two ranks differ.
void agree_on_collectives(Communicator& communicator, const RunPrograms& run);

}  // namespace trireme
