#pragma once

#include "runtime/base/units.h"

namespace trireme {

/// Copies bytes on the calling thread; no overlap, any alignment. Large copies store past the caches, which leaves out
/// the reading of what is overwritten: faster than memcpy where no cache holds it, alike where one does
/// (perf/results/elementwise.md). They are ordered like other stores once this returns.
void copy_bytes(void* to, const void* from, Bytes bytes);

}  // namespace trireme
