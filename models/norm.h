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

  /// d_x = d_residual + gradient through the norm; d_residual may be empty.
  void backward(ConstView x, ConstView gain, const NormStatistics& statistics, ConstView d_out, ConstView d_residual,
                View d_x, View d_gain, View d_bias) const {
    switch (family_) {
      case Family::gpt2:
        return layer_norm_backward({.x = x, .gain = gain, .mean = statistics.mean, .inv_std = statistics.inverse,
                                    .d_out = d_out, .d_residual = d_residual, .d_x = d_x, .d_gain = d_gain,
                                    .d_bias = d_bias});
      case Family::llama:
        return rms_norm_backward({.x = x, .gain = gain, .inv_rms = statistics.inverse, .d_out = d_out,
                                  .d_residual = d_residual, .d_x = d_x, .d_gain = d_gain});
    }
  }

  Family family() const { return family_; }

 private:
  Family family_;
  float eps_;
};

}  // namespace trireme
