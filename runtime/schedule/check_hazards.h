#pragma once

#include <array>
#include <vector>

#include "runtime/schedule/check_sequence.h"

namespace trireme::checking {

/// Rule: a buffer is written before it is read, and every two ops that touch it, one of them writing, are ordered.
///
/// Only the last write and, per stream, the last read since then are kept: ops of one stream are ordered by it, and
/// whoever came earlier was proved to be before those.
class Hazards {
 public:
  explicit Hazards(const Sequence& sequence) : sequence_(sequence), last_(sequence.identities()) {}

  Found visit(OpId op, std::size_t run);

 private:
  struct Last {
    OpId write = -1;
    std::size_t write_run = 0;
    std::array<OpId, stream_count> reads{-1, -1};
  };

  Found check_read(OpId op, std::size_t run, Identity id) const;
  Found check_write(OpId op, Identity id) const;
  Found check_source(OpId op, std::size_t run, Identity id) const;

  const Sequence& sequence_;
  std::vector<Last> last_;  // by identity
};

}  // namespace trireme::checking
