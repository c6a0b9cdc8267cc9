#pragma once
// The mlp of GPT-2: out = x + gelu(norm(x) Wup + b) Wdown + b.

#include "models/segments/norm.h"
#include "models/segments/segment.h"

namespace trireme {

class GeluMlpSegment final : public BlockSegment {
 public:
  explicit GeluMlpSegment(const Norm& norm);

  std::vector<TensorSpec> tensors(const std::string& block, const Shapes& s) const override;
  SegmentSpec describe(const Shapes& s, const MicrobatchShape& shape) const override;
  void forward(const SegmentForward& op, const Shapes& s) const override;
  void backward(const SegmentBackward& op, const Shapes& s) const override;

 private:
  Norm norm_;
  int norm_gain_, norm_bias_, up_weight_, up_bias_, down_weight_, down_bias_;
};

}  // namespace trireme
