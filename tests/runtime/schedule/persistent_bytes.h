#pragma once

#include "runtime/schedule/schedule.h"

namespace trireme::test {

/// What the plan puts at the bottom of the arena: no part of the transient peak.
inline Bytes persistent_bytes(const Schedule& schedule) {
  Bytes sum = 0;
  for (const Buffer& buffer : schedule.buffers)
    if (buffer.lifetime == Lifetime::persistent) sum += align_up(buffer.bytes(), 256);
  return sum;
}

}  // namespace trireme::test
