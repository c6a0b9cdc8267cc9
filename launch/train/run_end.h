#pragma once
// The end of a run: what its ranks find out together, and its trace.

#include <cstdint>
#include <string>
#include <vector>

#include "launch/plan/memory_report.h"
#include "launch/train/trainer.h"

namespace trireme {

/// One hash of what each rank hashed of its own (Trainer::hash_weights, hash_states). Collective.
std::uint64_t hash_over_ranks(Trainer& trainer, std::vector<std::vector<std::uint64_t>> own);

/// What every rank holds, by rank. Collective: while all ranks are there, what they share counts once in their sum.
std::vector<RankMemory> memory_over_ranks(Trainer& trainer, const RankMemory& own);

/// What every rank took from others, by rank. Collective.
std::vector<RankWire> wire_over_ranks(Trainer& trainer);

/// The last step of this rank as planned on paper (compute at `peak_flops`, bytes at 10 GB/s) and as measured.
/// A file that cannot be written is told on standard error and not left by half: it is for looking.
void write_trace(const std::string& path, Trainer& trainer, double peak_flops);

}  // namespace trireme
