#pragma once
// What schedules leave behind, read on the host: a step's verdict, sums, findings, choices, and hashes of the state.

#include <cstdint>
#include <string>
#include <vector>

#include "launch/train/program_runner.h"
#include "runtime/base/exact_sum.h"

namespace trireme {

/// What a step did, equal on all ranks.
struct StepReport {
  double loss = 0, gradient_norm = 0, learning_rate = 0;
  std::int64_t valid_tokens = 0;  // targets that count in the global batch
  bool applied = false;
};

/// What this rank found in a second run of a step.
struct Diagnosis {
  std::int64_t op = -1;  // of the schedule `diagnose`; -1: everything is finite on this rank
  std::string text;
};

/// By unit and buffer: xxh3 of each block.
using BlockHashes = std::vector<std::vector<std::uint64_t>>;

/// Each call reads what the schedule that it names has left, as the last that ran.
class StepResults {
 public:
  explicit StepResults(ProgramRunner& runner) : runner_(runner) {}

  /// Of a step of that learning rate.
  StepReport step(double learning_rate) const;
  /// Of `diagnose`.
  Diagnosis diagnosis() const;
  /// Of `step_with_audit`: the units whose gradients differ from those of the neighbour; empty where none does.
  std::string audit() const;
  /// Of `validate`: adds its losses exactly to `loss`, and its targets to `valid_tokens`.
  void add_validation(ExactSum& loss, std::int64_t& valid_tokens) const;
  /// Of `sample`.
  int choice() const { return runner_.record<std::int32_t>(Content::choice); }

  /// Of the masters, and of the optimizer's states: for combine_hashes(). Wait for what still runs.
  BlockHashes hash_weights() const;
  BlockHashes hash_states() const;

 private:
  ProgramRunner& runner_;
};

}  // namespace trireme
