#pragma once
// What attention does to single rows of scores: softmax, probabilities, gradients of scores. Vector code.

#include "runtime/base/tensor_view.h"

namespace trireme::cpu {

/// Running softmax of one query, in log2 units.
struct SoftmaxState {
  float maximum = -3e38f, sum = 0;
};

/// Takes `valid` scores (scaled by `scale` first) into the state and writes their probabilities relative to the new
/// maximum as T to p[0, padded), zero beyond valid. Returns what earlier sums must be multiplied by.
float soften(const float* scores, Elems valid, Elems padded, float scale, SoftmaxState& state, View p);

/// row[0, n) *= factor.
void scale_row(float* row, Elems n, float factor);
/// out = row * factor, rounded to out's type.
void store_row(const float* row, float factor, View out);

/// log2 of the sum of exponentials that the state holds.
float log_sum(const SoftmaxState& state);

/// p = 2^(scale s - log_sum_exp), ds = p (dp - delta), both rounded to their type; zero from valid to padded.
struct ScoreGradient {
  const float *scores, *d_probabilities;
  Elems valid = 0, padded = 0;
  float scale = 1, log_sum_exp = 0, delta = 0;
  View p, ds;
};
void score_gradient(const ScoreGradient& k);

/// Sum of a[i] b[i] in 16 lanes.
float dot_row(ConstView a, ConstView b);

}  // namespace trireme::cpu
