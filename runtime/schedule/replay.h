#pragma once
// The programs of several ranks run together, on paper: whether they end, and when each op runs.

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/schedule/check/check.h"
#include "runtime/schedule/timeline.h"

namespace trireme {

/// Which of the ranks given execute a collective of `group` with rank number `rank` of them, itself included,
/// ascending: equal for all of them. Without one: all ranks given.
using GroupMembers = std::function<std::vector<std::size_t>(std::size_t rank, Group group)>;

/// What op `op` of rank number `rank` takes, microseconds, from when everybody who takes part has begun.
using OpDuration = std::function<double(std::size_t rank, OpId op)>;

struct Replayed {
  std::optional<Problem> problem;   // a cyclic wait
  std::vector<Timeline> timelines;  // by rank; empty without durations, or where they do not end
};

/// In      schedules with valid ids, equal lists of collectives in each group, and sends that match their receives: one
/// of
///         each rank, or of each class of ranks. A peer that is not among them is taken to be ready.
/// Out     an op starts when its stream is free and its waits are recorded. A collective ends on all its ranks when the
///         last has begun it, a send and its receive when both have begun, and then the longest of their durations has
///         passed; so nothing counts on a transport that buffers. Events of earlier schedules are recorded at 0.
/// Cost    linear in ops and waits: each stream stands at one op and is woken by what that op waits for.
Replayed replay(std::span<const Schedule* const> ranks, const OpDuration& duration_us = {},
                const GroupMembers& members = {});

}  // namespace trireme
