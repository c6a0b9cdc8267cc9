#pragma once
// Where every byte of a run lies: one arena per space, shared by all schedules of the run.

#include <array>
#include <span>
#include <string>
#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// The live bytes by role at the moment of the peak, and what lies unused between them.
using RoleBytes = std::array<Bytes, role_count>;

/// The arena of one space.
struct ArenaPlan {
  Bytes peak_bytes = 0;                             // the arena: the largest end of any buffer
  Bytes lower_bound_bytes = 0;                      // the largest sum of live bytes over one position of any schedule
  ScheduleKind peak_schedule = ScheduleKind::step;  // where the sum of live bytes is largest
  OpId peak_op = 0;
  /// Live at peak_op, each buffer rounded up to 256; they and fragmentation_bytes sum to peak_bytes.
  RoleBytes role_bytes{};
  Bytes fragmentation_bytes = 0;
  Bytes states_bytes = 0;  // exact (not rounded to 256) sum of the persistent parameters and optimizer states
};

struct MemoryPlan {
  ArenaPlan device, host, disk;
  std::vector<std::vector<Bytes>> offset_bytes;  // [schedule][buffer]; 0 for tokens
};

/// Gives every buffer of a run's schedules a fixed byte offset in one arena per space.
///
/// In      schedules that passed check(). Equal schedules give equal plans; nothing else is read.
/// Out     offsets, multiples of 256. A persistent or carried buffer has one offset in all schedules that have it.
/// Promise two buffers of a schedule share a byte only if the last use of one happens-before the first of the other:
///         liveness is in half positions of the compute stream (a use by compute op i takes 2i+1; one on another stream
///         takes everything between the last compute op ordered before it, 2i+2, and the first ordered after it, 2j).
///         A carried buffer is alive from the schedule's start to its last use before it is written anew, and from that
///         write to the end. Its bytes are free in schedules that do not have it.
/// Errors  Error(plan) if the device arena's peak_bytes > limit_bytes; names the five largest live buffers at peak_op.
/// Source  greedy by size, Pisarchyk and Lee 2020 (arXiv 2001.03288), and others; the lowest peak of them is taken.
MemoryPlan plan_memory(std::span<const Schedule* const> schedules, Bytes limit_bytes);

/// Writes the plan's offsets into the buffers of schedule number `index`.
void apply(const MemoryPlan& plan, std::size_t index, Schedule& schedule);

}  // namespace trireme
