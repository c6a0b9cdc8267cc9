#pragma once
// The mlp of Llama and those like it: out = x + (silu(normed Wgate) * normed Wup) Wdown, normed = norm(x).

#include "models/segments/norm.h"
#include "models/segments/segment.h"

namespace trireme {

class SwigluMlpSegment final : public BlockSegment {
 public:
  explicit SwigluMlpSegment(const Norm& norm);

  std::vector<TensorSpec> tensors(const std::string& block, const Shapes& s) const override;
  SegmentSpec describe(const Shapes& s, const MicrobatchShape& shape) const override;
  void forward(const SegmentForward& op, const Shapes& s) const override;
  void backward(const SegmentBackward& op, const Shapes& s) const override;

 private:
  Norm norm_;
  int norm_gain_, norm_bias_, gate_up_weight_, down_weight_;
};

}  // namespace trireme
