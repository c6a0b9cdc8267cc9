#pragma once
// The limits of a process beside the machine's memory: ulimit -v (address space) and ulimit -d (data).

#include <string>

#include "runtime/base/units.h"

namespace trireme {

/// Bytes of address space that something takes, and of data: private memory that can be written.
struct ProcessRoom {
  Bytes address_bytes = 0, data_bytes = 0;
};

/// What MPI's start takes, measured with Open MPI 4.1.4, and half as much again.
ProcessRoom mpi_start_room();
/// What `threads` more threads take: their stacks, and a little of the heap.
ProcessRoom threads_room(int threads);

/// Errors: Error(plan) where a limit of this process leaves less than `room`: which, how much `what` needs, and the
/// ulimit that would do. Without limits nothing is looked at.
void require_room(const ProcessRoom& room, const std::string& what);

/// Where address space or data are limited: one heap for all threads, of this process and of those that it starts. The
/// allocator would take 64 MiB of address space for each thread, which are then missing for stacks and arenas.
void bound_heaps();

}  // namespace trireme
