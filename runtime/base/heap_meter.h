#pragma once
// What a thread takes from the heap: counted at operator new, as malloc lays it out, and bounded where asked.

#include <limits>
#include <new>

#include "runtime/base/units.h"

namespace trireme {

/// Thrown by operator new, on the thread whose meter has a limit, instead of taking what would pass it.
class HeapLimitReached : public std::bad_alloc {
 public:
  const char* what() const noexcept override;
};

/// Counts what its thread takes from the heap and gives back while the meter lives: malloc's blocks with their headers,
/// so the same in every process that does the same, but for the few bytes by which malloc rounds up now and then.
/// Meters of a thread nest, the inner one goes first; a limit holds inside all inner ones, too. What other threads do
/// does not count.
class HeapMeter {
 public:
  /// `limit_bytes`: the most that may be held above what is held now. Past it operator new throws HeapLimitReached;
  /// also where the process's own pages have grown by more, which hold the holes between blocks, too (looked at for
  /// every half MiB taken; a block of that size counts with the pages that it has not yet).
  explicit HeapMeter(Bytes limit_bytes = std::numeric_limits<Bytes>::max());
  ~HeapMeter();
  HeapMeter(const HeapMeter&) = delete;
  HeapMeter& operator=(const HeapMeter&) = delete;

  /// Above what was held at its start: now, and at most so far.
  Bytes held_bytes() const;
  Bytes peak_bytes() const;

 private:
  Bytes start_, outer_peak_, outer_limit_, outer_pages_limit_;
};

}  // namespace trireme
