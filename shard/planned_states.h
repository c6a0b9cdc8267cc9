#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme {

/// Bytes of the training state that a rank holds, by the kinds that the ZeRO paper tells apart. Exact: no buffer is
/// rounded up to 256 here. Source  Rajbhandari et al. 2020 (arXiv 1910.02054), section 3.1.
struct PlannedStates {
  // In every schedule of the run.
  Bytes parameters = 0;  // in the compute type; none where peers read the masters
  Bytes masters = 0;
  Bytes optimizer = 0;  // m and v
  Bytes gradients = 0;  // in the wire type: stages 0 and 1 alone
  Bytes sums = 0;       // f32 sums of gradients, during a step
};

/// What the program of a step says of its rank.
PlannedStates planned_states(const Schedule& step);

}  // namespace trireme
