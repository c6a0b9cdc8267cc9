#pragma once
// Everything that the programs of one rank depend on, besides the model. Only layout: none of it changes a bit of the
// result, but for `microbatches` and the types.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/dtype.h"
#include "runtime/base/units.h"
#include "runtime/schedule/op.h"
#include "shard/mesh.h"
#include "shard/unit.h"

namespace trireme {

/// Segments whose saved activations are dropped after forward and computed again before backward.
enum class Recompute { none, attention, mlp, block };

const char* name(Recompute policy);
/// Whether a policy drops what a segment of a block saves.
bool drops(Recompute policy, SegmentKind segment);
/// Errors: Error(config) for a name that is none.
Recompute parse_recompute(std::string_view text);

/// The streams on which the programs of a run have ops.
inline constexpr std::array run_streams = {StreamId::compute, StreamId::comm};
inline constexpr int run_stream_count = static_cast<int>(run_streams.size());

/// A tensor-shaped state that the optimizer keeps for every parameter, sharded like it.
struct OptimizerState {
  std::string name;
  DType type = DType::f32;
};

struct StepSpec {
  Mesh mesh;
  int rank = 0;
  int microbatches = 1;  // of the global batch
  int sum_group = 1;     // so many consecutive microbatches are summed, and the sum rounded, before they are added up
  int zero = 3;          // ZeRO stage
  int node_ranks = 0;    // stage 3 with a copy of the parameters on every so many ranks in a row; 0: without
  int prefetch = 1;      // uses that a gather may run ahead of compute; 0: blocking order
  Recompute recompute = Recompute::none;
  bool audit = false;           // the run has a step in which ranks replay each other's microbatches
  NodeLayout nodes;             // a reduce receives contributions of other nodes into staging
  DType compute = DType::bf16;  // gathered parameters and activations
  DType wire = DType::bf16;     // gradients that are sent
  std::vector<OptimizerState> states = {{"m", DType::f32}, {"v", DType::f32}};

  int ranks() const { return mesh.data; }
  std::vector<int> all_ranks() const;
  /// All ranks, as those whose export is read.
  std::vector<Contribution> exporters() const;

  int groups() const { return static_cast<int>(ceil_div(microbatches, sum_group)); }
  /// Whether each rank takes whole groups, rank g mod ranks group g, and sums them itself. Where there are fewer groups
  /// than ranks, and with groups of one, rank j mod ranks takes microbatch j.
  bool takes_whole_groups() const { return sum_group > 1 && groups() >= ranks(); }
  /// A round ends with the reduce of what every rank has; the last round may leave ranks out.
  int rounds() const { return static_cast<int>(ceil_div(takes_whole_groups() ? groups() : microbatches, ranks())); }
  /// A turn is one microbatch of every rank.
  int turns_a_round() const { return takes_whole_groups() ? sum_group : 1; }
  int turns() const { return rounds() * turns_a_round(); }
  int microbatch_of(int turn, int of_rank) const {
    const int a_round = turns_a_round();
    return (turn / a_round * ranks() + of_rank) * a_round + turn % a_round;
  }
  int microbatch(int turn) const { return microbatch_of(turn, rank); }
  bool takes_part(int turn) const { return microbatch(turn) < microbatches; }
  /// How many turns of a step this rank takes part in: the first ones.
  int own_turns() const;
  /// How many ranks take part in a turn: the first ones.
  int present(int turn) const;
  /// Ranks with a microbatch in a turn, ascending.
  std::vector<int> ranks_in(int turn) const;
  /// What the reduces of a round add: of each rank the first microbatch of what it brings. One list, but where a group
  /// spans ranks: then one list for each group of the round.
  std::vector<std::vector<Contribution>> contributions(int round) const;
  /// Their ranks: [first, end) of each list.
  std::vector<std::pair<int, int>> contributors(int round) const;
  /// In an audit the ranks with a microbatch, in a ring: the neighbour at `distance` to the right.
  int neighbour(int distance) const {
    const int ring = present(0);
    return (rank + distance + ring) % ring;
  }
  /// Contributors that do not share this rank's memory.
  int remote(const std::vector<Contribution>& from) const;
};

}  // namespace trireme
