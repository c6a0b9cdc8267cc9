#pragma once
// GPT-2's kernels, in order.

#include "models/model.h"
#include "models/norm.h"

namespace trireme::gpt {

class Gpt final : public Model {
 public:
  Gpt(const ModelConfig& config, int sequence, ProductOrder products);

  void forward(const EmbeddingForward& op) const override;
  void backward(const EmbeddingBackward& op) const override;
  void forward(int segment, const SegmentForward& op) const override;
  void backward(int segment, const SegmentBackward& op) const override;
  void head(const Head& op) const override;
  void choose(const HeadChoose& op) const override;
  void fill_constants(View constants) const override;

 private:
  Shapes shapes(Elems tokens) const { return make_shapes(config_, tokens / sequence_, sequence_, products_); }

  ModelConfig config_;
  Elems sequence_;
  ProductOrder products_;
  Norm norm_;
};

void attention_forward(const SegmentForward& op, const Shapes& s, const Norm& norm);
void attention_backward(const SegmentBackward& op, const Shapes& s, const Norm& norm);
void mlp_forward(const SegmentForward& op, const Shapes& s, const Norm& norm);
void mlp_backward(const SegmentBackward& op, const Shapes& s, const Norm& norm);

}  // namespace trireme::gpt
