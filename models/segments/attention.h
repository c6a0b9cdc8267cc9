#pragma once
// Causal self-attention of every family: q, k and v are columns of one product.

#include <optional>

#include "models/segments/norm.h"
#include "models/segments/rotary.h"
#include "models/segments/segment.h"

namespace trireme {

/// What families differ in.
struct AttentionForm {
  Norm norm;
  bool qkv_bias = false, out_bias = false;
  bool head_norms = false;       // RMSNorm over each head of q and of k, before it turns
  std::optional<Rotary> rotary;  // none: positions are learned
};

class AttentionSegment final : public BlockSegment {
 public:
  explicit AttentionSegment(const AttentionForm& form);

  std::vector<TensorSpec> tensors(const std::string& block, const Shapes& s) const override;
  SegmentSpec describe(const Shapes& s, const MicrobatchShape& shape) const override;
  void forward(const SegmentForward& op, const Shapes& s) const override;
  void backward(const SegmentBackward& op, const Shapes& s) const override;
  Bytes constants_bytes(const Shapes& s) const override;
  void fill_constants(View constants, const Shapes& s) const override;

 private:
  struct Saved;
  struct Scratch;

  void norm_heads(const UnitTensors& p, const Saved& saved, const Shapes& s) const;
  void mix(const Saved& saved, const Batch& batch, const View& workspace, const Shapes& s) const;
  void mix_backward(const SegmentBackward& op, const Saved& saved, const Scratch& scratch, const Shapes& s) const;

  AttentionForm form_;
  int norm_gain_, norm_bias_, qkv_weight_, qkv_bias_, q_gain_, k_gain_, out_weight_, out_bias_;
};

}  // namespace trireme
