#pragma once
// What a model does, segment by segment. It never sees ranks, streams or offsets.

#include <memory>
#include <vector>

#include "models/families/family.h"
#include "models/model_config.h"
#include "models/shapes.h"

namespace trireme {

/// The segments of a family, called with the shapes of the config and the size of the batch.
class Model {
 public:
  /// `sequence`: tokens of a sequence, in every schedule of the run. `products`: how matrix products add.
  Model(const ModelConfig& config, int sequence, ProductOrder products);

  void forward(const EmbeddingForward& op) const;
  void backward(const EmbeddingBackward& op) const;
  /// `segment`: its number in a block. `op` holds the tensors of the whole unit.
  void forward(int segment, const SegmentForward& op) const;
  void backward(int segment, const SegmentBackward& op) const;
  void loss(const HeadLoss& op) const;
  void choose(const HeadChoose& op) const;
  /// Fills the constants buffer (tables that depend on the configuration alone).
  void fill_constants(View constants) const;

 private:
  Shapes shapes(Elems tokens) const { return make_shapes(config_, tokens / sequence_, sequence_, products_); }

  ModelConfig config_;
  Elems sequence_;
  ProductOrder products_;
  Segments segments_;
  std::vector<int> first_tensors_;  // of a block's segments
};

std::unique_ptr<Model> make_model(const ModelConfig& config, int sequence, ProductOrder products);

}  // namespace trireme
