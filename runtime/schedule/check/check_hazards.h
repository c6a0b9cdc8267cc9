#pragma once

#include <optional>
#include <vector>

#include "runtime/schedule/check/check_sequence.h"
#include "runtime/schedule/per_stream.h"

namespace trireme::checking {

/// Rules: a buffer is written before it is read, and every two ops that touch it, one of them writing, are ordered. A
/// record that a schedule makes anew (its sums, its verdict) is made before anything in that schedule reads it: an
/// older one may still lie there.
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
    OpPerStream reads = no_ops;
    std::optional<OpId> read_older;  // the first read of an older value, in run `older_run`
    std::size_t older_run = 0;
  };

  Found check_read(OpId op, std::size_t run, Identity id) const;
  Found check_write(OpId op, Identity id) const;
  Found check_record(const Operand& operand, OpId op, std::size_t run, Identity id);
  Found check_source(OpId op, std::size_t run, Identity id) const;

  const Sequence& sequence_;
  std::vector<Last> last_;  // by identity
};

}  // namespace trireme::checking
