#pragma once
// Times every op of the running steps, for the profile.

#include <chrono>
#include <vector>

#include "launch/train/profile.h"
#include "runtime/execute/op_observer.h"
#include "runtime/schedule/per_stream.h"

namespace trireme {

/// Sums of times per op of the schedule `step`, from step 2 on: what comes before warms up.
///
/// Threads  each stream keeps its own sums; times() is called while all streams stand still (after
/// ProgramRunner::finish()). Memory   taken at a stream's first op of a step; nothing later.
class StepClock final : public OpObserver {
 public:
  void before(const Schedule& schedule, OpId op) override;
  void after(const Schedule& schedule, OpId op) override;

  StepTimes times() const;

  static constexpr int warm_up_steps = 2;

 private:
  using Clock = std::chrono::steady_clock;

  /// What one stream has seen.
  struct Track {
    std::vector<StepTimes::OpTime> ops;
    OpId first = 0;  // its first op of a step
    int runs = 0;    // of the step, this one included
    double wall_us = 0;
    bool in_steps = false;  // its last op was one of a step
    Clock::time_point begun, ended;

    bool counts() const { return runs > warm_up_steps; }
  };

  Track& track_of(const Schedule& schedule, OpId op);

  PerStream<Track> tracks_;
};

}  // namespace trireme
