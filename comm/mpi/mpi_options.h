#pragma once

#include "runtime/base/units.h"

namespace trireme {

struct MpiOptions {
  double deadline_s = 120;      // without any message, of one wait
  Bytes piece_bytes = 1 * GiB;  // longer messages are cut: MPI counts in int
  bool share = true;            // ranks of a node read each other's memory
  int ranks_per_node = 0;       // for tests: nodes of so many ranks, cut out of the real ones
};

}  // namespace trireme
