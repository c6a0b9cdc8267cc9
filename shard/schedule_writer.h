#pragma once
// Appends buffers and ops to a schedule; what every pass of the builder writes with.

#include <string>
#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme {

class ScheduleWriter {
 public:
  /// Continues `schedule`; buffers and lists that it has keep their ids. `expected_ops`: about so many will be added.
  explicit ScheduleWriter(Schedule schedule, std::size_t expected_ops = 0);

  BufferId add(Buffer buffer);
  /// A step buffer.
  BufferId add(std::string name, Role role, DType type, Elems elems, bool exported = false);
  /// A buffer without bytes that carries order; `step` or `persistent`.
  BufferId add_token(std::string name, Lifetime lifetime = Lifetime::step);

  OpId add(Op op);
  /// Index of an equal list, added where there is none.
  std::int32_t from_list(const std::vector<Contribution>& list);
  std::int32_t to_list(const std::vector<int>& list);

  Schedule& schedule() { return schedule_; }
  const Schedule& schedule() const { return schedule_; }
  void expect(std::size_t ops) { schedule_.ops.reserve(schedule_.ops.size() + ops); }
  Schedule take() { return std::move(schedule_); }

 private:
  Schedule schedule_;
};

}  // namespace trireme
