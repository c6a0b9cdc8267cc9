#pragma once
// When each op runs: planned from durations, or measured. One format for both.

#include <functional>
#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Per op of a schedule: microseconds since the schedule's start.
struct Timeline {
  struct Span {
    double start_us = 0, end_us = 0;
  };
  std::vector<Span> ops;

  double end_us() const;
};

/// Runs the list on paper: an op starts when its stream is free and its waits are recorded, and takes duration_us(op).
Timeline plan_timeline(const Schedule& schedule, const std::function<double(OpId)>& duration_us);

}  // namespace trireme
