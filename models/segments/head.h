#pragma once
// The head of every model: final norm, logits and loss in chunks of tokens. The [N,V] logits never exist.

#include <cstdint>

#include "models/batch.h"
#include "models/describe.h"
#include "models/segments/norm.h"
#include "models/shapes.h"
#include "models/unit_tensors.h"
#include "shard/step_records.h"

namespace trireme {

/// Final norm, logits, loss. With `d_x` also backward.
struct HeadLoss {
  UnitTensors parameters;
  View vocabulary;  // [Vp,C]: the head's own tensor, or the tied one
  ConstView x;      // [N,C]
  Batch batch;
  std::int64_t valid_tokens = 0;  // of the global batch; needed with d_x
  StepSums* sums = nullptr;
  View d_x;  // empty: loss only
  UnitTensors gradients;
  View d_vocabulary;  // [Vp,C], f32 where there are several chunks
  View workspace;
};
/// The most likely successor of one token of the first sequence.
struct HeadChoose {
  UnitTensors parameters;
  View vocabulary;
  ConstView x;
  Elems position = 0;
  View choice;  // i32 [1]
  View workspace;
};

class HeadSegment {
 public:
  /// `tied`: to the embedding's token table.
  HeadSegment(const Norm& norm, bool tied);

  /// Segments `loss` and `choose`.
  UnitSpec describe(const Shapes& s, const MicrobatchShape& shape) const;
  void loss(const HeadLoss& op, const Shapes& s) const;
  void choose(const HeadChoose& op, const Shapes& s) const;

 private:
  Norm norm_;
  int norm_gain_, norm_bias_, vocabulary_;
};

}  // namespace trireme
