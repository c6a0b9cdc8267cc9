#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// The most that this process has held so far, as Linux counts it: its proportional set size now (a page that several
/// processes share counts once in their sum), and what its resident memory has been above that of now.
/// Called while the other ranks of the node are alive. Without /proc/self/smaps_rollup: the resident high water.
Bytes peak_process_bytes();

/// What this process holds now that no file on disk backs, its page tables included.
Bytes unbacked_process_bytes();

/// Before any thread: large blocks of the heap lie in pages of their own from now on, which go back to the system when
/// they are freed. malloc would raise that threshold with each such block and keep what was freed for later ones.
void return_large_blocks();

/// Gives the heap's free pages back to the system: what planning took must not stand beside the arena.
void give_back_free_heap();

}  // namespace trireme
