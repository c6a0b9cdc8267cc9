#pragma once
// The table at the end of a run: where the time of a step went. Pure.

#include <string>
#include <vector>

#include "runtime/schedule/schedule.h"
#include "shard/unit.h"

namespace trireme {

/// Times of one rank, summed over the steps that a clock counted.
struct StepTimes {
  struct OpTime {
    double busy_us = 0;
    double stalled_us = 0;  // compute stood still before it, for events
  };
  int steps = 0;
  double wall_us = 0;       // from the end of compute in the step before to the end of compute
  double skew_us = 0;       // of stalled time: a peer had not produced yet what was waited for
  std::vector<OpTime> ops;  // of the schedule `step`
};

/// Model flops of one op on the compute stream; 0 where nobody counts them.
double op_flops(const ModelSpec& model, const Op& op);

/// One table, averaged over the steps: time by kind of op on both streams, stalls of compute (exposed communication,
/// skew), idle time (compute neither computed nor waited: the host), and the ten ops that took longest.
///
/// In      `peak_flops`: what the rank's threads reach together from registers alone.
/// Shares  of the time of a step; the compute stream, stalls and idle time sum to 100%.
/// Rates   GF/s where flops are counted, with their share of the peak; GB/s of a collective: its whole payload over its
///         time, waits for peers included.
std::string print_profile(const Schedule& step, const ModelSpec& model, const StepTimes& times, double peak_flops);

}  // namespace trireme
