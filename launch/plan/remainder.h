#pragma once
// What a rank's process holds beside its arena, by cause. Pure: constants measured once, and sizes of what a run
// builds.

#include <array>
#include <string_view>

#include "launch/plan/rank_programs.h"
#include "runtime/base/units.h"

namespace trireme {

struct Remainder {
  Bytes process = 0;   // code and data of the program and its libraries, stacks, the heap at rest
  Bytes mpi = 0;       // what MPI allocates at its start, and per rank of the node
  Bytes messages = 0;  // MPI's buffers for messages under way, per peer
  Bytes programs = 0;  // the model, its schedules, and the executor's bindings of their ops
  Bytes streams = 0;   // rings of tasks
  Bytes threads = 0;   // of kernels, beyond the first
  Bytes hashes = 0;    // the lists behind weights= and state= at the end of a run
  Bytes building = 0;  // what building the programs took beyond all this and the arena, which come after it

  struct Part {
    std::string_view name;
    Bytes bytes = 0;
  };
  std::array<Part, 8> parts() const;
  Bytes total() const;
  /// The same of a process that held `building_bytes` of its heap, and gave them back, before it took its arena.
  Remainder after_building(Bytes building_bytes, Bytes arena_bytes) const;
};

/// What a schedule takes of the heap.
Bytes heap_bytes(const Schedule& schedule);

/// The remainder of a rank of `ranks_on_node` that share a machine, with `threads` threads for kernels.
Remainder remainder_of(const RankPrograms& programs, int ranks_on_node, int threads);

}  // namespace trireme
