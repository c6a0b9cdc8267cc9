#pragma once
// When each op runs: planned from durations, or measured. One format for both.

#include <functional>
#include <span>
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
/// What replay() finds of one rank alone, in one walk that keeps nothing per op beside the result.
Timeline plan_timeline(const Schedule& schedule, const std::function<double(OpId)>& duration_us);

/// When compute stood still before ops that wait for events: from the end of the op before to the start, ascending.
/// Only what the timeline says of compute ops is read.
std::vector<Timeline::Span> compute_stalls(const Schedule& schedule, const Timeline& timeline);

/// Time that compute stood still, by cause.
struct StallTime {
  double exposed_us = 0;  // communication that was under way
  double skew_us = 0;     // a peer had not produced yet what was waited for
};
/// Skew is what of `stalls` lies in `late`: when the comm stream waited for peers that had not produced yet. Exposed is
/// the rest. Both lists are ascending, of one clock, and without overlaps within themselves.
StallTime split_stalls(std::span<const Timeline::Span> stalls, std::span<const Timeline::Span> late);

}  // namespace trireme
