#pragma once
// Small structs that live in planned buffers: what differs per step, what is summed over ranks, what is decided.

#include <cstdint>

#include "runtime/base/exact_sum.h"

namespace trireme {

/// Written by the first op of a schedule from what the host prepared.
struct StepValues {
  std::int64_t step = 0;  // counted from 0
  double learning_rate = 0;
  std::int64_t position = 0;  // token whose successor a sample chooses
};

/// Targets that count in a step: of this rank's microbatches from step_values on, of the global batch once they are
/// summed.
struct TokenCount {
  std::int64_t valid_tokens = 0;
};

/// Sums over all microbatches and ranks; integers only, so an all-reduce of them is exact.
struct StepSums {
  ExactSum square_norm;  // of the accumulated gradient
  ExactSum loss;         // of the losses of valid tokens, not yet divided
  std::int64_t valid_tokens = 0;
};
static_assert(sizeof(StepSums) % sizeof(std::int64_t) == 0);

/// What every update obeys, and what the host reads.
struct Verdict {
  double loss = 0, gradient_norm = 0;       // mean loss per valid token
  double clip_scale = 0;                    // min(1, clip / (norm + 1e-6))
  double correction1 = 0, correction2 = 0;  // 1 - beta^t, t counting applied updates
  double learning_rate = 0;
  std::int64_t go = 0;  // 0: loss or norm is not finite, updates do nothing
};

/// The first value of the schedule `diagnose` that is not finite.
struct Finding {
  std::int64_t op = -1;                              // the check that found it; -1: none did
  std::int64_t buffer = 0, tensor = 0, element = 0;  // of the tensor of the unit; of the buffer where it has no tensors
};

/// Persistent counts.
struct StepCounters {
  std::int64_t applied_updates = 0;
};

}  // namespace trireme
