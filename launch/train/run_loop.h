#pragma once
// The steps of a run: each with its line in the log, its audit, its validation, and what happens where it is not
// finite.

#include <cstdint>
#include <memory>
#include <string>

#include "comm/status_observer.h"
#include "launch/train/run_start.h"
#include "launch/train/step_clock.h"
#include "launch/train/step_log.h"
#include "launch/train/trainer.h"
#include "optim/lr_schedule.h"

namespace trireme {

/// Both arguments outlive it.
class RunLoop {
 public:
  /// Takes the memory that `start` has planned, with its programs, and the log folder. Collective.
  RunLoop(const Run& run, RunStart& start);

  void run_steps();
  /// All of data.valid behind step `step`: a line.
  void validate(std::int64_t step);

  Trainer& trainer() { return *trainer_; }
  bool profiles() const { return run_.speaks() && run_.inputs.config.log.profile; }
  /// Of the steps that the clock counts; while nothing runs.
  StepTimes times() const;

 private:
  void make_trainer(RunStart& start);
  void step(std::int64_t step);
  [[noreturn]] void stop_together(ErrorKind kind, const std::string& message);
  void check_audit(std::int64_t step);
  void on_bad_step(std::int64_t step, const StepReport& report);
  void log_step(std::int64_t step, const StepReport& report, double step_ms);

  const Run& run_;
  const TrainerSettings& settings_;
  LrSchedule lr_;
  double peak_flops_;  // of all ranks
  StatusObserver observer_;
  StepClock clock_;
  int skipped_ = 0;               // steps
  double skew_us_ = 0;            // of the steps that the clock counts
  std::unique_ptr<StepLog> log_;  // of the rank that speaks
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace trireme
