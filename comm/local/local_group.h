#pragma once
// Ranks as threads of one process, which read each other's memory in place. For tests; it moves no message.

#include <cstdint>
#include <memory>

#include "comm/communicator.h"

namespace trireme {

struct LocalOptions {
  double deadline_s = 120;
  std::uint64_t seed = 0;
  int max_delay_us = 0;  // random pauses between reads of peers' memory, from the seed; 0: none
};

/// A group of `size` ranks. Outlives its communicators.
class LocalGroup {
 public:
  explicit LocalGroup(int size, const LocalOptions& options = {});
  ~LocalGroup();

  /// One end; each rank is asked for once.
  std::unique_ptr<Communicator> rank(int rank);

  struct State;  // what the ranks share

 private:
  std::shared_ptr<State> state_;
};

}  // namespace trireme
