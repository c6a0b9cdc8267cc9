#pragma once

#include <array>
#include <map>
#include <vector>

#include "runtime/schedule/check/check_sequence.h"
#include "runtime/schedule/per_stream.h"

namespace trireme::checking {

/// Rule, where buffers have offsets: buffers alive at the same time share no byte.
///
/// For every byte of every space: which buffer wrote it last, by which op, and who read it since. A read must find its
/// own buffer in all its bytes; a write must be ordered after the last write and the last reads of all its bytes.
/// Bytes of persistent buffers are written by nobody else; bytes that a schedule carries out are still its own at its
/// end. Cost: a write adds at most two segments, a read touches one; O(log segments) each, less for persistent buffers.
class ByteOwners {
 public:
  explicit ByteOwners(const Sequence& sequence)
      : sequence_(sequence), persistent_(sequence.identities()), carried_out_(sequence.identities(), -1) {}

  /// Gives the bytes that hold values before the first schedule to their buffers.
  Found claim_before_first();
  Found visit(OpId op, std::size_t run);
  Found end_of_run(std::size_t run);

 private:
  struct Segment {
    Bytes end = 0;
    Identity owner = 0;
    OpId write = -1;  // -1: before the first schedule
    OpPerStream reads = no_ops;
  };
  using Segments = std::map<Bytes, Segment>;  // by first byte

  Segments& segments(const Buffer& buffer) { return segments_[static_cast<std::size_t>(buffer.space)]; }
  static Segments::iterator first_overlap(Segments& segments, Bytes begin);
  Found claim_persistent();
  Found claim(Identity id);
  const Segment* overlapped_persistent(const Buffer& buffer) const;
  Found read(OpId op, Identity id);
  Found write(OpId op, Identity id);
  Found check_overwrite(OpId op, Identity id, const Segment& segment) const;
  static void replace(Segments& segments, Bytes begin, const Segment& fresh);

  const Sequence& sequence_;
  std::array<Segments, space_count> segments_;                       // by space; of all but persistent buffers
  std::vector<Segment> persistent_;                                  // by identity: whole, as nobody else writes them
  std::array<std::vector<Identity>, space_count> persistent_order_;  // by space: ascending by place
  std::vector<OpId> carried_out_;                                    // by identity: who last wrote a carried buffer
};

}  // namespace trireme::checking
