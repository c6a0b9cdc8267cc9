#pragma once

#include <vector>

#include "runtime/schedule/check/check_sequence.h"

namespace trireme::checking {

/// Rule: between the last collective that let peers read an exported buffer and the next write of it stands a release
/// that reads it, in whichever schedule; for a step buffer it stands in the same one.
///
/// A release is a read: that the write comes after it is proved by Hazards, and for reused bytes by ByteOwners.
class Exports {
 public:
  explicit Exports(const Sequence& sequence) : sequence_(sequence), exposed_(sequence.identities(), -1) {}

  Found visit(OpId op, std::size_t run);
  Found end_of_run(std::size_t run) const;

 private:
  const Sequence& sequence_;
  std::vector<OpId> exposed_;  // by identity: the last collective that read it and was not released
};

}  // namespace trireme::checking
