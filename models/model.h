#pragma once
// What a model does, segment by segment. It never sees ranks, streams or offsets.

#include <memory>

#include "models/batch.h"
#include "models/model_config.h"
#include "models/shapes.h"
#include "shard/flat_layout.h"
#include "shard/step_records.h"
#include "shard/unit.h"

namespace trireme {

/// The tensors of a unit in its flat buffers: parameters, or their gradients, which frozen ones have not.
struct UnitTensors {
  const UnitSpec* unit = nullptr;
  const FlatLayout* layout = nullptr;
  View flat;
  const FlatLayout* frozen_layout = nullptr;  // of the frozen tensors
  View frozen;

  /// Tensor number `tensor`, [rows, cols]; empty where there is none.
  View operator[](int tensor) const;
};

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

/// One segment of a block. x, out [N,C].
struct SegmentForward {
  UnitTensors parameters;
  ConstView x;
  Batch batch;
  ConstView constants;
  View out;    // empty: not needed, only `saved` is
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

/// The head: final norm, logits, loss. With `d_x` also backward.
struct Head {
  UnitTensors parameters;
  View vocabulary;             // [Vp,C]: the head's own tensor, or the tied one
  ConstView x;                 // [N,C]
  Batch batch;
  std::int64_t valid_tokens = 0;  // of the global batch; needed with d_x
  StepSums* sums = nullptr;
  View d_x;                    // empty: loss only
  UnitTensors gradients;
  View d_vocabulary;           // [Vp,C], f32 where there are several chunks
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

/// Kernels of one model family, called in order. Shapes come from the config and the size of the batch.
class Model {
 public:
  virtual ~Model() = default;

  virtual void forward(const EmbeddingForward& op) const = 0;
  virtual void backward(const EmbeddingBackward& op) const = 0;
  /// `segment`: 0 attention, 1 mlp.
  virtual void forward(int segment, const SegmentForward& op) const = 0;
  virtual void backward(int segment, const SegmentBackward& op) const = 0;
  virtual void head(const Head& op) const = 0;
  virtual void choose(const HeadChoose& op) const = 0;
  /// Fills the constants buffer (tables that depend on the configuration alone).
  virtual void fill_constants(View constants) const = 0;
};

/// `sequence`: tokens of a sequence, in every schedule of the run. `products`: how matrix products add.
std::unique_ptr<Model> make_model(const ModelConfig& config, int sequence, ProductOrder products);

}  // namespace trireme
