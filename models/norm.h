#pragma once
// LayerNorm or RMSNorm behind one call, for code that serves both families.

#include "models/model_config.h"
#include "runtime/base/tensor_view.h"
#include "runtime/kernels/layer_norm.h"
#include "runtime/kernels/rms_norm.h"

namespace trireme {

/// Statistics that a norm's backward needs: f32 [N] each; `mean` is unused by RMSNorm.
struct NormStatistics {
  View mean, inverse;
};

/// d_x = d_residual + the gradient through the norm; d_residual may be empty, d_bias is empty for RMSNorm.
struct NormBackward {
  ConstView x, gain;
  NormStatistics statistics;
  ConstView d_out, d_residual;
  View d_x, d_gain, d_bias;
};

class Norm {
 public:
  Norm(Family family, float eps) : family_(family), eps_(eps) {}

  /// `bias` is empty for RMSNorm.
  void forward(ConstView x, ConstView gain, ConstView bias, View out, const NormStatistics& statistics) const {
    switch (family_) {
      case Family::gpt2:
        return layer_norm_forward({.x = x, .gain = gain, .bias = bias, .out = out, .mean = statistics.mean,
                                   .inv_std = statistics.inverse, .eps = eps_});
      case Family::llama:
        return rms_norm_forward({.x = x, .gain = gain, .out = out, .inv_rms = statistics.inverse, .eps = eps_});
    }
  }

  void backward(const NormBackward& k) const {
    switch (family_) {
      case Family::gpt2:
        return layer_norm_backward({.x = k.x, .gain = k.gain, .mean = k.statistics.mean, .inv_std = k.statistics.inverse,
                                    .d_out = k.d_out, .d_residual = k.d_residual, .d_x = k.d_x, .d_gain = k.d_gain,
                                    .d_bias = k.d_bias});
      case Family::llama:
        return rms_norm_backward({.x = k.x, .gain = k.gain, .inv_rms = k.statistics.inverse, .d_out = k.d_out,
                                  .d_residual = k.d_residual, .d_x = k.d_x, .d_gain = k.d_gain});
    }
  }

  Family family() const { return family_; }

 private:
  Family family_;
  float eps_;
};

}  // namespace trireme
