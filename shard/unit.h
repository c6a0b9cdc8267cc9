#pragma once
// What the builder knows of a model: units that are gathered at once, their tensors, and their segments of compute.
// Pure description; models/ fills it in.

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/dtype.h"
#include "runtime/base/units.h"

namespace trireme {

/// How a tensor starts. Counter-based: element i is a function of (seed, tensor name, i) alone.
struct InitRule {
  enum class Kind { normal, constant } kind = Kind::normal;
  double value = 0;        // standard deviation, or the constant
  Elems padding_rows = 0;  // the last rows, which start as zero
};

/// One parameter tensor, [rows, cols] (a vector has one row).
struct TensorSpec {
  std::string name;  // unique in the model
  Elems rows = 1, cols = 1;
  InitRule init;
  bool decay = false;     // weight decay applies
  double lr_factor = 1;   // of the learning rate
  bool trainable = true;  // else it has no gradient and no optimizer state

  Elems elems() const { return rows * cols; }
};

enum class SegmentKind { embedding, attention, mlp, loss, choose };
const char* name(SegmentKind kind);

/// A run of compute of one unit with one op each for forward, recompute and backward.
struct SegmentSpec {
  SegmentKind kind = SegmentKind::attention;
  Bytes saved_bytes = 0;              // what backward needs of forward, for one microbatch
  Bytes forward_workspace_bytes = 0;  // also of recompute
  Bytes backward_workspace_bytes = 0;
  double forward_flops = 0, backward_flops = 0;  // model flops of one microbatch: attention at T^2/2
};

/// A tensor that belongs to an earlier unit and is used by this one, too.
struct TiedTensor {
  int unit = 0;
  int tensor = 0;  // index into that unit's tensors
};

/// `embedding` reads tokens and is first; `block` maps activations to activations; `head` ends in the loss. Behind it
/// may stand units that are `frozen`: those tensors of an earlier unit that are not trained.
enum class UnitKind { embedding, block, head, frozen };

struct UnitSpec {
  std::string name;
  UnitKind kind = UnitKind::block;
  std::vector<TensorSpec> tensors;    // of its flat buffer, in this order
  std::vector<SegmentSpec> segments;  // of a head: loss, choose
  std::optional<TiedTensor> tied;
  std::optional<int> frozen;      // the unit of its frozen tensors
  std::optional<int> vocabulary;  // of a head that is not tied: its tensor that makes logits

  /// Whether a tensor lies in this unit's flat buffer.
  bool holds(const TensorSpec& tensor) const { return tensor.trainable == (kind != UnitKind::frozen); }
};

/// A model for one size of microbatch.
struct ModelSpec {
  std::vector<UnitSpec> units;
  Elems activation_elems = 0;  // of the activations between segments: tokens x width
  Elems batch_elems = 0;       // i32: tokens, targets, positions and weights of one microbatch
  Bytes constants_bytes = 0;   // tables that depend on the configuration alone
  bool head_chain = false;     // the head adds up its gradient over several chunks of tokens, in f32

  /// The number of the head's unit.
  std::size_t head() const {
    std::size_t u = units.size() - 1;
    while (units[u].kind == UnitKind::frozen) --u;
    return u;
  }
  /// The unit in whose flat buffer a tied tensor lies.
  std::size_t owner(const TiedTensor& tied) const {
    const UnitSpec& unit = units[static_cast<std::size_t>(tied.unit)];
    const bool trainable = unit.tensors[static_cast<std::size_t>(tied.tensor)].trainable;
    return static_cast<std::size_t>(trainable ? tied.unit : *unit.frozen);
  }
};

}  // namespace trireme
