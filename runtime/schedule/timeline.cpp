#include "runtime/schedule/timeline.h"

#include <algorithm>
#include <array>

namespace trireme {

double Timeline::end_us() const {
  double end = 0;
  for (const Span& span : ops) end = std::max(end, span.end_us);
  return end;
}

Timeline plan_timeline(const Schedule& schedule, const std::function<double(OpId)>& duration_us) {
  Timeline timeline;
  timeline.ops.reserve(schedule.ops.size());
  std::array<double, stream_count> free_us{};
  // A record stands above its waits, so one pass is enough. A boundary event counts as recorded before the start.
  std::vector<double> recorded_us(static_cast<std::size_t>(schedule.event_count));
  for (std::size_t i = 0; i < schedule.ops.size(); ++i) {
    const Op& op = schedule.ops[i];
    double& stream_us = free_us[static_cast<std::size_t>(op.stream)];
    double start_us = stream_us;
    for (const EventId event : op.waits) start_us = std::max(start_us, recorded_us.at(static_cast<std::size_t>(event)));
    stream_us = start_us + duration_us(static_cast<OpId>(i));
    if (op.records) recorded_us.at(static_cast<std::size_t>(*op.records)) = stream_us;
    timeline.ops.push_back({start_us, stream_us});
  }
  return timeline;
}

}  // namespace trireme
