#include "runtime/schedule/happens_before.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr OpId none = -1;

/// The most recent record of every event of one schedule, while its ops are walked in list order.
class Records {
 public:
  using Carried = std::unordered_map<std::string_view, OpId>;  // by name of a boundary event

  Records(const Schedule& schedule, Carried& carried)
      : schedule_(schedule),
        carried_(carried),
        last_(static_cast<std::size_t>(schedule.event_count), none),
        is_boundary_(last_.size()) {
    for (const BoundaryEvent& boundary : schedule.boundary_events) {
      const auto earlier = carried.find(boundary.name);
      last_.at(index(boundary.event)) = earlier == carried.end() ? none : earlier->second;
      is_boundary_[index(boundary.event)] = true;
    }
  }

  /// The op that a wait waits for; none where nothing ever recorded a boundary event.
  OpId find(EventId event, OpId waiting) const {
    const bool known = event >= 0 && event < schedule_.event_count;
    ensure(known && (last_[index(event)] != none || is_boundary_[index(event)]),
           "schedule {}: {} waits for event {}, which no op above it records", name(schedule_.kind),
           describe(schedule_, waiting), event);
    return last_[index(event)];
  }

  void set(EventId event, OpId op) { last_.at(index(event)) = op; }

  void carry_over() {
    for (const BoundaryEvent& boundary : schedule_.boundary_events)
      carried_[boundary.name] = last_[index(boundary.event)];
  }

 private:
  static std::size_t index(EventId event) { return static_cast<std::size_t>(event); }

  const Schedule& schedule_;
  Carried& carried_;
  std::vector<OpId> last_;
  std::vector<bool> is_boundary_;
};

}  // namespace

HappensBefore::HappensBefore(const Schedule& schedule)
    : HappensBefore(std::span<const Schedule* const>(std::array<const Schedule*, 1>{&schedule})) {}

HappensBefore::HappensBefore(std::span<const Schedule* const> sequence) {
  std::size_t op_count = 0;
  for (const Schedule* schedule : sequence) op_count += schedule->ops.size();
  clock_.reserve(op_count);
  position_.reserve(op_count);
  stream_.reserve(op_count);

  PerStream<VectorClock> next;  // clock of the next op of each stream, before its waits
  Records::Carried carried;
  for (const Schedule* schedule : sequence) {
    Records records(*schedule, carried);
    for (const Op& op : schedule->ops) {
      VectorClock clock = next[op.stream];
      for (EventId event : op.waits) {
        const OpId recorded = records.find(event, static_cast<OpId>(&op - schedule->ops.data()));
        if (recorded == none) continue;
        const auto r = static_cast<std::size_t>(recorded);
        clock.join(clock_[r]);
        std::int32_t& complete = clock[stream_[r]];
        complete = std::max(complete, position_[r] + 1);
      }
      if (op.records) records.set(*op.records, static_cast<OpId>(clock_.size()));
      clock_.push_back(clock);
      position_.push_back(clock[op.stream]);
      stream_.push_back(op.stream);
      next[op.stream] = clock;
      ++next[op.stream][op.stream];
    }
    records.carry_over();
  }
}

bool HappensBefore::before(OpId first, OpId second) const {
  const auto f = static_cast<std::size_t>(first);
  return first != second && clock_[static_cast<std::size_t>(second)][stream_[f]] > position_[f];
}

}  // namespace trireme
