#pragma once
// One rank of a run: which schedule a step, a validation or a sample is. Its parts fill the inputs, run the programs,
// and read the results. Knows no MPI and no command line.

#include <cstdint>
#include <span>
#include <string>

#include "launch/train/program_runner.h"
#include "launch/train/step_inputs.h"
#include "launch/train/step_results.h"

namespace trireme {

class Trainer {
 public:
  /// As ProgramRunner's, whose table it gives the handler of step_values.
  Trainer(const TrainerSettings& settings, PlannedPrograms planned, Communicator& communicator, BatchSources sources,
          RunnerParts parts);

  /// `audits`, on all ranks alike: replays the right neighbour's first microbatch, too.
  StepReport step(std::int64_t step, double learning_rate, bool audits = false);
  /// Behind a step that was not applied: the step again, with checks. Changes nothing.
  Diagnosis diagnose(std::int64_t step);
  /// Behind a step that audits: the units whose gradients differ from those of the neighbour; empty where none does.
  /// Waits.
  std::string audit();
  /// Loss sums of one round of validation microbatches, first number `first`; one per rank.
  /// Adds exactly to `loss` and to `valid_tokens`.
  void validate_round(int first, ExactSum& loss, std::int64_t& valid_tokens);
  /// The most likely token after `tokens` (at most a sequence of them); all ranks call it with the same.
  int choose_next(std::span<const int> tokens);

  /// How long compute stood still for events in the last step, by cause.
  StallTime stalls() { return runner_.stalls(last_step_); }

  ProgramRunner& runner() { return runner_; }
  const StepResults& results() const { return results_; }

 private:
  StepInputs inputs_;
  ProgramRunner runner_;
  StepResults results_;
  ScheduleKind last_step_ = ScheduleKind::step;  // of those that step
};

}  // namespace trireme
