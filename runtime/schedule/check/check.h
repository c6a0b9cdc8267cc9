#pragma once
// Proves a schedule before it runs: no race, no use of freed bytes, no missing release, no deadlock, the ranks agree.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// What is wrong first, in list order.
struct Problem {
  ScheduleKind schedule = ScheduleKind::step;
  OpId op = 0;          // number within that schedule
  std::string message;  // names the op, the buffer, the other op, and the rule that is broken
};

/// One schedule alone. Shares no code with the pass that derives events.
///
/// Rules   every op has the operands of its kind, of the right role, type and space, on its stream and with its group
///         (op_kinds.h); every wait has a record before it, or is a boundary event; every pair of ops that touches a
///         buffer, one of them writing, is ordered; a buffer is written before it is read (persistent and carried ones
///         may come from an earlier schedule, but no record that the schedule makes itself); an exported buffer that a
///         collective read is released before the next write of it (which the release is ordered before), and, if it is
///         a step buffer, before the schedule ends; the first add into an accumulator stores, the others read it too,
///         in ascending microbatch; where offsets are set: buffers alive at the same time share no byte (by bytes: the
///         last writer of every byte read is the buffer read; all conflicting accesses of bytes are ordered); offsets
///         are multiples of 256.
/// Cost    O(n log n) in ops + operands.
std::optional<Problem> check(const Schedule& schedule);

/// The same rules, but for those of single ops, over schedules run one after the other over one arena (enter+step,
/// step+step, step+validate, ...).
std::optional<Problem> check_sequence(std::span<const Schedule* const> sequence);

/// check() of each schedule of a rank's run and check_sequence() of each sequence of them, at less cost: what one op
/// shows alone is looked at once, and what a schedule proves alone is proved with the sequences.
///
/// In      sequences that have every schedule between them, and no others.
std::optional<Problem> check_sequences(std::span<const Schedule* const> schedules,
                                       std::span<const std::vector<const Schedule*>> sequences);

/// One schedule of every class of ranks, together: each group's ordered list of collectives is equal (kind, unit,
/// bytes, range, from, to), each pair's sends and receives match, and a joint replay ends (no cyclic wait).
std::optional<Problem> check_ranks(std::span<const Schedule* const> ranks);

}  // namespace trireme
