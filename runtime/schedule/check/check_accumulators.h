#pragma once

#include <vector>

#include "runtime/schedule/check/check_sequence.h"

namespace trireme::checking {

/// Rule: the first add (reduce or accumulate) into a sum stores and so must not read it, all later ones read and write
/// it, and microbatches ascend, within a reduce and from one add to the next. A round or accumulate that takes a sum
/// lets the next add store. This is the order of every gradient's sum.
class Accumulators {
 public:
  explicit Accumulators(const Sequence& sequence) : sequence_(sequence), sums_(sequence.identities()) {}

  Found visit(OpId op, std::size_t run);

 private:
  /// What was added to one accumulator so far. A schedule starts its sums anew.
  struct Sum {
    OpId last = -1;
    std::size_t run = 0;
    int microbatch = -1;
  };

  Found check_reduce(OpId op, std::size_t run, Identity id, bool reads, Sum& sum);
  Found check_ascending(OpId op, std::size_t run, Identity id, Sum& sum);
  Found check_next(const Contribution& c, OpId op, Identity id, Sum& sum) const;

  const Sequence& sequence_;
  std::vector<Sum> sums_;                                   // by identity
  const std::vector<Contribution>* last_proved_ = nullptr;  // neighbours in a program share their list, of all ranks
};

}  // namespace trireme::checking
