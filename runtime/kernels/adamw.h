#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// One AdamW step on a run of elements, as in PyTorch: g = gradient * gradient_scale;
/// p -= p * lr * weight_decay; m += (g - m)(1 - beta1); v = v beta2 + g g (1 - beta2);
/// p -= lr / correction1 * (m / (sqrt(v) / sqrt(correction2) + eps)). Square roots and quotients are exact.
///
/// Shapes  all [n], contiguous. Types: f32, exported bf16 (the new master, rounded) or empty.
/// Memory  in place. Order: element by element, as written above, in f32; fused where the new m and v are formed
///         (fma(g - m, 1 - beta1, m), fma(g g, 1 - beta2, v beta2)). The scalars are formed in f64 and rounded once.
/// Source  Loshchilov and Hutter 2019 (arXiv 1711.05101).
struct AdamW {
  View master, m, v;
  ConstView gradient;
  View exported;
  double learning_rate = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  double correction1 = 1, correction2 = 1;  // 1 - beta^t
  double gradient_scale = 1;
};
void adamw(const AdamW& k);

}  // namespace trireme
