#pragma once

#include <cstdint>

#include "runtime/base/tensor_view.h"

namespace trireme {

/// Whether a token counts: in the loss, in its gradient, and in the number of tokens that the loss is divided by. The
/// ignore index of other libraries, -100, does not.
inline bool target_counts(std::int32_t target, float weight) { return target >= 0 && weight != 0; }

/// Softmax cross-entropy of a chunk of tokens, and its gradient in place of the logits.
/// loss[n] = weight[n] * (log sum exp(logits[n]) - logits[n, target]);
/// logits[n] <- (softmax - onehot(target)) * weight[n] * scale, zero in padding, where `backward` is set.
///
/// Shapes  logits [n,Vp]; targets i32, weights and losses f32 [n]. Only the first `vocabulary` columns count; loss and
///         gradient are 0 where target_counts() says no.
/// Types   logits bf16 or f32. Order: fixed per row (16 lanes).
/// Errors  bug for a target of `vocabulary` or more in a row that counts, before any row is touched.
struct CrossEntropy {
  View logits;
  Elems vocabulary = 0;
  ConstView targets, weights;
  View losses;
  float scale = 1;
  bool backward = false;
};
void cross_entropy(const CrossEntropy& k);

}  // namespace trireme
