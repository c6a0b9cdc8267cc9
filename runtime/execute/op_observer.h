#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Sees every op start and end, on the op's stream: status pages, clocks, faults planted by tests.
class OpObserver {
 public:
  virtual ~OpObserver() = default;
  virtual void before(const Schedule& schedule, OpId op) = 0;
  virtual void after(const Schedule& schedule, OpId op) = 0;
};

}  // namespace trireme
