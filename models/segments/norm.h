#pragma once
// LayerNorm or RMSNorm behind one call.

#include "models/segments/carve.h"
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

enum class NormKind { layer, rms };

class Norm {
 public:
  Norm(NormKind kind, float eps) : kind_(kind), eps_(eps) {}

  /// LayerNorm has a bias and saves a mean.
  bool has_bias() const { return kind_ == NormKind::layer; }
  float eps() const { return eps_; }

  NormStatistics take_statistics(Carve& carve, Elems tokens) const {
    const View mean = has_bias() ? carve.take(DType::f32, 1, tokens) : View();
    return {.mean = mean, .inverse = carve.take(DType::f32, 1, tokens)};
  }

  /// `bias` is empty for RMSNorm.
  void forward(ConstView x, ConstView gain, ConstView bias, View out, const NormStatistics& statistics) const {
    switch (kind_) {
      case NormKind::layer:
        return layer_norm_forward({.x = x,
                                   .gain = gain,
                                   .bias = bias,
                                   .out = out,
                                   .mean = statistics.mean,
                                   .inv_std = statistics.inverse,
                                   .eps = eps_});
      case NormKind::rms:
        return rms_norm_forward({.x = x, .gain = gain, .out = out, .inv_rms = statistics.inverse, .eps = eps_});
    }
  }

  void backward(const NormBackward& k) const {
    switch (kind_) {
      case NormKind::layer:
        return layer_norm_backward({.x = k.x,
                                    .gain = k.gain,
                                    .mean = k.statistics.mean,
                                    .inv_std = k.statistics.inverse,
                                    .d_out = k.d_out,
                                    .d_residual = k.d_residual,
                                    .d_x = k.d_x,
                                    .d_gain = k.d_gain,
                                    .d_bias = k.d_bias});
      case NormKind::rms:
        return rms_norm_backward({.x = k.x,
                                  .gain = k.gain,
                                  .inv_rms = k.statistics.inverse,
                                  .d_out = k.d_out,
                                  .d_residual = k.d_residual,
                                  .d_x = k.d_x,
                                  .d_gain = k.d_gain});
    }
  }

 private:
  NormKind kind_;
  float eps_;
};

}  // namespace trireme
