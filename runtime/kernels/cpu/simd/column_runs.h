#pragma once
// How sums over tokens, one chain per channel, are cut: by channels, and never by tokens.

#include "runtime/kernels/cpu/threads.h"

namespace trireme::cpu {

/// Channels of one run at most: their f32 chains stay in the first-level cache while whole stretches of rows pass by.
inline constexpr Elems widest_run = 1024;

/// Calls body(first, last, thread) for runs of [0, channels), as wide as they may be with work for every thread.
/// Channels do not meet, so the cut changes no bits.
template <typename Body>
void for_each_column_run(Elems channels, Body&& body) {
  const Elems share = align_up(ceil_div(channels, kernel_threads()), 64);
  for_each_block(channels, std::min(share, widest_run), body);
}

}  // namespace trireme::cpu
