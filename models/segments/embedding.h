#pragma once
// The embedding unit: rows of the token table, and of the position table where positions are learned.

#include "models/batch.h"
#include "models/describe.h"
#include "models/shapes.h"
#include "models/unit_tensors.h"

namespace trireme {

struct EmbeddingForward {
  UnitTensors parameters;
  Batch batch;
  View out;  // [N,C]
  View workspace;
};
struct EmbeddingBackward {
  ConstView d_out;  // [N,C]
  Batch batch;
  UnitTensors gradients;
  View workspace;
};

class EmbeddingSegment {
 public:
  /// Of every model: what a tied head uses.
  static constexpr int token_table = 0;

  explicit EmbeddingSegment(bool learned_positions) : position_table_(learned_positions ? 1 : no_tensor) {}

  UnitSpec describe(const Shapes& s) const;
  void forward(const EmbeddingForward& op, const Shapes& s) const;
  void backward(const EmbeddingBackward& op, const Shapes& s) const;

 private:
  bool learned_positions() const { return position_table_ != no_tensor; }

  int position_table_;
};

}  // namespace trireme
