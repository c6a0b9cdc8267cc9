#pragma once
// Everything that the programs of one rank depend on, besides the model. Only layout: none of it changes a bit of the
// result, but for `microbatches` and the types.

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/dtype.h"
#include "runtime/base/units.h"
#include "shard/mesh.h"

namespace trireme {

/// Segments whose saved activations are dropped after forward and computed again before backward.
enum class Recompute { none, attention, mlp, block };

const char* name(Recompute policy);
/// Errors: Error(config) for a name that is none.
Recompute parse_recompute(std::string_view text);

/// A tensor-shaped state that the optimizer keeps for every parameter, sharded like it.
struct OptimizerState {
  std::string name;
  DType type = DType::f32;
};

struct StepSpec {
  Mesh mesh;
  int rank = 0;
  int microbatches = 1;   // of the global batch; rank r computes numbers r, r + ranks, ...
  int prefetch = 1;       // uses that a gather may run ahead of compute; 0: blocking order
  Recompute recompute = Recompute::none;
  NodeLayout nodes;       // a reduce receives contributions of other nodes into staging
  DType compute = DType::bf16;  // gathered parameters and activations
  DType wire = DType::bf16;     // gradients that are sent
  std::vector<OptimizerState> states = {{"m", DType::f32}, {"v", DType::f32}};

  int ranks() const { return mesh.data; }
  /// Microbatches come in rounds of one per rank; the last round may leave ranks out.
  int rounds() const { return static_cast<int>(ceil_div(microbatches, ranks())); }
  int microbatch(int round) const { return round * ranks() + rank; }
  bool takes_part(int round) const { return microbatch(round) < microbatches; }
  /// Ranks with a microbatch in a round that do not share this rank's memory.
  int remote_contributors(int round) const;
};

}  // namespace trireme
