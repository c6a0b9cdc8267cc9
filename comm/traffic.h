#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// Bytes of gathers and reduces that a rank took from other ranks: read where they lie, or received as messages.
struct Traffic {
  Bytes in_place = 0, messages = 0;

  Traffic& operator+=(const Traffic& other) {
    in_place += other.in_place;
    messages += other.messages;
    return *this;
  }
  friend bool operator==(const Traffic&, const Traffic&) = default;
};

}  // namespace trireme
