#pragma once
// Which op is ordered before which: vector clocks over streams and events.

#include <span>
#include <vector>

#include "runtime/schedule/per_stream.h"
#include "runtime/schedule/schedule.h"

namespace trireme {

/// The order of the ops of one schedule, or of several run one after the other (then ops are numbered through).
class HappensBefore {
 public:
  /// Linear in ops and waits. Errors: Error(bug) naming the op that waits for an event which nothing recorded,
  /// unless it is a boundary event.
  explicit HappensBefore(const Schedule& schedule);
  explicit HappensBefore(std::span<const Schedule* const> sequence);

  /// Whether `first` is complete before `second` starts. An op is not before itself.
  bool before(OpId first, OpId second) const;
  /// Position of an op on its own stream, counted from 0.
  std::int32_t position(OpId op) const { return position_[op]; }
  /// What is complete when the op starts; of its own stream: its predecessors.
  const VectorClock& clock(OpId op) const { return clock_[op]; }

 private:
  std::vector<VectorClock> clock_;
  std::vector<std::int32_t> position_;
  std::vector<StreamId> stream_;
};

}  // namespace trireme
