#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// The most that this process has held so far, as Linux counts it: its proportional set size now (a page that several
/// processes share counts once in their sum), and what its resident memory has been above that of now.
/// Called while the other ranks of the node are alive. Without /proc/self/smaps_rollup: the resident high water.
Bytes peak_process_bytes();

/// Gives the heap's free pages back to the system: what planning took must not stand beside the arena.
void give_back_free_heap();

}  // namespace trireme
