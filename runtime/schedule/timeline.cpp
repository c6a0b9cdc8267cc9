#include "runtime/schedule/timeline.h"

#include <algorithm>
#include <optional>

#include "runtime/schedule/per_stream.h"

namespace trireme {

double Timeline::end_us() const {
  double end = 0;
  for (const Span& span : ops) end = std::max(end, span.end_us);
  return end;
}

Timeline plan_timeline(const Schedule& schedule, const std::function<double(OpId)>& duration_us) {
  Timeline timeline;
  timeline.ops.reserve(schedule.ops.size());
  PerStream<double> free_us;
  // A record stands above its waits, so one pass is enough. A boundary event counts as recorded before the start.
  std::vector<double> recorded_us(static_cast<std::size_t>(schedule.event_count));
  for (std::size_t i = 0; i < schedule.ops.size(); ++i) {
    const Op& op = schedule.ops[i];
    double& stream_us = free_us[op.stream];
    double start_us = stream_us;
    for (const EventId event : op.waits) start_us = std::max(start_us, recorded_us.at(static_cast<std::size_t>(event)));
    stream_us = start_us + duration_us(static_cast<OpId>(i));
    if (op.records) recorded_us.at(static_cast<std::size_t>(*op.records)) = stream_us;
    timeline.ops.push_back({start_us, stream_us});
  }
  return timeline;
}

std::vector<Timeline::Span> compute_stalls(const Schedule& schedule, const Timeline& timeline) {
  std::vector<Timeline::Span> stalls;
  std::optional<double> free_us;  // when compute ended its op before
  for (std::size_t i = 0; i < schedule.ops.size(); ++i) {
    if (schedule.ops[i].stream != StreamId::compute) continue;
    const Timeline::Span& span = timeline.ops.at(i);
    if (free_us && !schedule.ops[i].waits.empty() && span.start_us > *free_us)
      stalls.push_back({*free_us, span.start_us});
    free_us = span.end_us;
  }
  return stalls;
}

StallTime split_stalls(std::span<const Timeline::Span> stalls, std::span<const Timeline::Span> late) {
  StallTime time;
  std::size_t first = 0;  // of `late` that may still touch a stall
  for (const Timeline::Span& stall : stalls) {
    double skew_us = 0;
    while (first < late.size() && late[first].end_us <= stall.start_us) ++first;
    for (std::size_t i = first; i < late.size() && late[i].start_us < stall.end_us; ++i)
      skew_us += std::min(stall.end_us, late[i].end_us) - std::max(stall.start_us, late[i].start_us);
    time.skew_us += skew_us;
    time.exposed_us += stall.end_us - stall.start_us - skew_us;
  }
  return time;
}

}  // namespace trireme
