#pragma once
// The buffers that every schedule of a run has: states of the units and small records. One place says them all.

#include <optional>
#include <vector>

#include "shard/flat_layout.h"
#include "shard/schedule_writer.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// Persistent buffers of one unit, each one slice long; none where nothing lies in its flat buffer.
struct StateBuffers {
  BufferId master = -1;
  std::vector<BufferId> states;  // of the optimizer, in its order; none of what is frozen
  BufferId exported = -1;        // what peers gather: the master itself where compute is f32
};

/// Ids of the persistent buffers of a run; equal in all its schedules.
struct RunBuffers {
  std::vector<FlatLayout> layouts;  // per unit
  std::vector<StateBuffers> units;
  BufferId constants = 0, counters = 0, values = 0, tokens = 0, sums = 0, verdict = 0;  // the structs of step_records.h
  BufferId choice = 0;                                                                  // i32, one token
  BufferId finding = 0;
  // Of an audit, i64: how many, then one for each gradient in the order of backward.
  std::optional<BufferId> own_hashes, replayed_hashes, received_hashes;
  std::optional<BufferId> replayed_sums;  // the loss of a replay, which nobody reads
};

/// Adds them to an empty schedule, in an order that depends on nothing else.
RunBuffers add_run_buffers(ScheduleWriter& writer, const ModelSpec& model, const StepSpec& spec);

/// Their ids and layouts, as every schedule of the run has them.
RunBuffers run_buffers(const ModelSpec& model, const StepSpec& spec);

/// The unit whose slice for peers this op makes, if any.
std::optional<std::size_t> exported_unit(const RunBuffers& run, const Op& op);

/// An empty schedule of this rank.
Schedule empty_schedule(ScheduleKind kind, const StepSpec& spec);

}  // namespace trireme
