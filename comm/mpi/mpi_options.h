#pragma once

#include "runtime/base/units.h"

namespace trireme {

struct MpiOptions {
  double deadline_s = 120;      // without any message, of one wait
  Bytes piece_bytes = 1 * GiB;  // longer messages are cut: MPI counts in int
};

}  // namespace trireme
