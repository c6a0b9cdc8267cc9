#pragma once
// The proofs that a run needs: of one rank's programs, and of the ranks together. Errors: Error(bug), the first
// problem.

#include <span>

#include "shard/build_step.h"

namespace trireme {

/// Each schedule alone, and every sequence of them that can run.
void check_alone(const RunPrograms& run);

/// One rank of every class: the ranks agree, and end.
void check_together(std::span<const RunPrograms> classes);

/// Both.
void check_run(std::span<const RunPrograms> classes);
void check_run(const RunPrograms& run);

}  // namespace trireme
