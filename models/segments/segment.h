#pragma once
// A segment of a block: its tensors, its bytes and flops, and its kernels in order. It never sees ranks, streams or
// offsets.

#include <string>
#include <vector>

#include "models/batch.h"
#include "models/describe.h"
#include "models/shapes.h"
#include "models/unit_tensors.h"

namespace trireme {

/// x, out [N,C].
struct SegmentForward {
  UnitTensors parameters;  // [0] is the segment's first
  ConstView x;
  Batch batch;
  ConstView constants;
  View out;  // empty: not needed, only `saved` is
  View saved;
  View workspace;
};
/// Every gradient is one f32 chain over the microbatch's tokens, rounded once to the type of `gradients`.
struct SegmentBackward {
  UnitTensors parameters;
  ConstView d_out, x, saved;
  Batch batch;
  ConstView constants;
  View d_x;
  UnitTensors gradients;
  View workspace;
};

/// Maps activations to activations. One object serves all blocks.
class BlockSegment {
 public:
  virtual ~BlockSegment() = default;

  /// In layout order; their names begin with `block`, "blocks.3.".
  virtual std::vector<TensorSpec> tensors(const std::string& block, const Shapes& s) const = 0;
  virtual SegmentSpec describe(const Shapes& s, const MicrobatchShape& shape) const = 0;
  virtual void forward(const SegmentForward& op, const Shapes& s) const = 0;
  virtual void backward(const SegmentBackward& op, const Shapes& s) const = 0;

  /// Tables that depend on the configuration alone, the same for all blocks; of a model one segment has some.
  virtual Bytes constants_bytes(const Shapes&) const { return 0; }
  virtual void fill_constants(View, const Shapes&) const {}
};

}  // namespace trireme
