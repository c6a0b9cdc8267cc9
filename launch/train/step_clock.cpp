#include "launch/train/step_clock.h"

#include <algorithm>

namespace trireme {
namespace {

double us_between(std::chrono::steady_clock::time_point start, std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double, std::micro>(end - start).count();
}

const Op& op_of(const Schedule& schedule, OpId op) { return schedule.ops[static_cast<std::size_t>(op)]; }

}  // namespace

StepClock::Track& StepClock::track_of(const Schedule& schedule, OpId op) { return tracks_[op_of(schedule, op).stream]; }

void StepClock::before(const Schedule& schedule, OpId op) {
  Track& track = track_of(schedule, op);
  if (schedule.kind != ScheduleKind::step) {
    track.in_steps = false;
    return;
  }
  if (track.ops.empty()) {
    track.ops.resize(schedule.ops.size());
    track.first = op;
  }
  if (op == track.first) ++track.runs;
  track.begun = Clock::now();
  if (!track.counts() || !track.in_steps) return;
  const double gap_us = us_between(track.ended, track.begun);
  track.wall_us += gap_us;
  // What stands between two steps is the host's.
  if (op != track.first && !op_of(schedule, op).waits.empty())
    track.ops[static_cast<std::size_t>(op)].stalled_us += gap_us;
}

void StepClock::after(const Schedule& schedule, OpId op) {
  Track& track = track_of(schedule, op);
  track.ended = Clock::now();
  track.in_steps = schedule.kind == ScheduleKind::step;
  if (!track.in_steps || !track.counts()) return;
  const double busy_us = us_between(track.begun, track.ended);
  track.wall_us += busy_us;
  track.ops[static_cast<std::size_t>(op)].busy_us += busy_us;
}

StepTimes StepClock::times() const {
  const Track& compute = tracks_[StreamId::compute];
  StepTimes times{.steps = std::max(0, compute.runs - warm_up_steps), .wall_us = compute.wall_us, .ops = compute.ops};
  // Each op has one stream. Only compute's stalls are lost time.
  for (const StreamId stream : all_streams)
    for (std::size_t i = 0; stream != StreamId::compute && i < tracks_[stream].ops.size(); ++i)
      times.ops[i].busy_us += tracks_[stream].ops[i].busy_us;
  return times;
}

}  // namespace trireme
