#pragma once

#include <cstddef>
#include <span>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// The arena of each space that a run's programs have buffers in; the others are empty.
struct Arenas {
  std::span<std::byte> device, host, disk;

  std::span<std::byte> of(Space space) const {
    switch (space) {
      case Space::device: return device;
      case Space::host: return host;
      case Space::disk: return disk;
    }
    return {};
  }
  /// Whether a placed buffer lies in its arena.
  bool hold(const Buffer& buffer) const {
    return *buffer.offset >= 0 && *buffer.offset + buffer.bytes() <= static_cast<Bytes>(of(buffer.space).size());
  }
};

}  // namespace trireme
