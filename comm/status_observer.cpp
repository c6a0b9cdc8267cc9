#include "comm/status_observer.h"

namespace trireme {

void StatusObserver::before(const Schedule& schedule, OpId op) {
  const Op& line = schedule.ops[static_cast<std::size_t>(op)];
  page_.begin(line.stream, schedule.kind, op, line.kind, line.unit);
}

void StatusObserver::after(const Schedule& schedule, OpId op) {
  page_.end(schedule.ops[static_cast<std::size_t>(op)].stream);
}

}  // namespace trireme
