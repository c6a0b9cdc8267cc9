#pragma once
// Schedules run one after the other, as one list: persistent and carried buffers of equal name are one.

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme::test {

struct Sequence {
  Schedule joined;
  std::vector<std::size_t> schedule_of;  // of each op, the number of its schedule

  void add(const Schedule& next) {
    const std::size_t number = schedules_++;
    const auto buffer_of = [&](BufferId id) {
      const Buffer& b = next.buffers[static_cast<std::size_t>(id)];
      const std::string name = b.lifetime == Lifetime::step ? fmt::format("{}@{}", b.name, number) : b.name;
      const auto [known, is_new] = buffers_.try_emplace(name, static_cast<BufferId>(joined.buffers.size()));
      if (is_new) joined.buffers.push_back(b);
      return known->second;
    };
    std::map<EventId, std::string> boundaries;
    for (const BoundaryEvent& boundary : next.boundary_events) boundaries[boundary.event] = boundary.name;
    const auto event_of = [&](EventId event) {
      const auto found = boundaries.find(event);
      const std::string name = found == boundaries.end() ? fmt::format("{}@{}", event, number) : found->second;
      return events_.try_emplace(name, static_cast<EventId>(events_.size())).first->second;
    };
    for (Op op : next.ops) {
      for (Operand& operand : op.operands) operand.buffer = buffer_of(operand.buffer);
      for (EventId& event : op.waits) event = event_of(event);
      if (op.records) op.records = event_of(*op.records);
      joined.ops.push_back(std::move(op));
      schedule_of.push_back(number);
    }
  }

 private:
  std::size_t schedules_ = 0;
  std::map<std::string, BufferId> buffers_;
  std::map<std::string, EventId> events_;
};

}  // namespace trireme::test
