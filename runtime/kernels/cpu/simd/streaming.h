#pragma once
// Stores that go past the caches: for what is larger than they are and is not read again at once.

#include <cstdint>

#include "runtime/base/units.h"

namespace trireme::cpu {

/// Of the addresses that are stored to; the widest vector's.
inline constexpr Bytes streaming_alignment = 64;

/// Whether so much would push everything else out of a second-level cache.
inline bool is_worth_streaming(Bytes bytes) { return bytes >= 2 * MiB; }

/// Bytes up to the next address that can be streamed to.
inline Bytes to_streaming_alignment(const void* at) {
  return static_cast<Bytes>(-reinterpret_cast<std::uintptr_t>(at) % static_cast<std::uintptr_t>(streaming_alignment));
}

}  // namespace trireme::cpu
