#pragma once
// What the ranks of a run find out together at its end.

#include <cstdint>
#include <vector>

#include "launch/plan/memory_report.h"
#include "launch/train/program_runner.h"
#include "launch/train/step_results.h"

namespace trireme {

/// One hash of what each rank hashed of its own. Collective.
std::uint64_t hash_over_ranks(ProgramRunner& runner, BlockHashes own);

/// What every rank holds, by rank. Collective: while all ranks are there, what they share counts once in their sum.
std::vector<RankMemory> memory_over_ranks(ProgramRunner& runner, const RankMemory& own);

/// What every rank took from others, by rank. Collective.
std::vector<RankWire> wire_over_ranks(ProgramRunner& runner);

}  // namespace trireme
