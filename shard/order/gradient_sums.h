#pragma once
// How the gradients of a step's microbatches are added up (design 4.1): part of compute_order.

#include <cstddef>
#include <optional>
#include <vector>

#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// A gradient of one microbatch, as one op left it.
struct Gradient {
  std::size_t owner = 0;  // unit
  FlatRange range;        // of the owner's flat buffer
  BufferId buffer = 0;    // in the wire type
};

/// Where a gradient is added up: this rank's slice, and with groups of microbatches the sum of the group under way (of
/// the whole gradient where the rank takes whole groups, else of the slice).
struct Accumulator {
  BufferId sum = 0;
  std::optional<BufferId> group;
};

/// Writes the ops that bring gradients to their sums, as if this rank had a microbatch in every turn.
class GradientSums {
 public:
  /// All must outlive it.
  GradientSums(ScheduleWriter& writer, const ModelSpec& model, const StepSpec& spec, const RunBuffers& run)
      : writer_(writer), model_(model), spec_(spec), run_(run), to_all_(writer.to_list(spec.all_ranks())) {}

  /// Whether a unit has any gradient.
  bool is_trained(std::size_t u) const {
    return model_.units[u].kind != UnitKind::frozen && !run_.layouts[u].is_empty();
  }

  /// One accumulator per unit that is trained, and one for the tied tensor where there is one.
  void add_accumulators(const std::optional<FlatRange>& tied);
  const Accumulator& unit(std::size_t u) const { return units_[u]; }
  const Accumulator& tied() const { return tied_; }

  /// The gradient of a turn: to the owners of its slices, or first into the sum of its group.
  void add(const Gradient& gradient, const Accumulator& to, int turn);

 private:
  Accumulator add_accumulator(std::optional<std::size_t> unit, const FlatRange& range);
  Op local(OpKind kind, const Gradient& gradient, int turn) const;
  void add_to_group(const Gradient& gradient, BufferId group, int turn);
  Gradient end_own_group(const Gradient& gradient, BufferId group, int turn);
  void reduce(const Gradient& gradient, const Accumulator& to, int turn);
  void reduce_into(const Gradient& gradient, const std::vector<Contribution>& from, BufferId sum, bool adds);
  void end_shared_group(const Gradient& gradient, int last_microbatch, const Accumulator& to);

  ScheduleWriter& writer_;
  const ModelSpec& model_;
  const StepSpec& spec_;
  const RunBuffers& run_;
  std::int32_t to_all_;  // list of all ranks
  std::vector<Accumulator> units_;
  Accumulator tied_;
};

}  // namespace trireme
