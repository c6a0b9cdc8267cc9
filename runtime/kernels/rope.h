#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

enum class RopeDirection { forward, backward };

/// Rotary position embedding, in place: the pair (x[i], x[i + D/2]) of every head is turned by positions[n] *
/// theta^(-2i/D); backward turns the other way. The half-split convention of Hugging Face Llama.
///
/// Shapes  x [N, heads * D], any row stride; positions i32 [N]; cosines, sines f32 [T,D/2], T above every position.
/// Types   x bf16 or f32. Order: element by element.
/// Source  Su et al. 2021 (arXiv 2104.09864).
struct Rope {
  View x;
  ConstView positions, cosines, sines;
  Elems head_dim = 0;
  RopeDirection direction = RopeDirection::forward;
};
void rope(const Rope& k);

/// Llama-3's stretching of frequencies to longer contexts; factor 1 leaves them as they are. Wavelengths above
/// original_context / low_freq_factor are divided by `factor`, those below original_context / high_freq_factor stay,
/// between them a straight line. Fields as rope_scaling of Hugging Face configs.
struct RopeScaling {
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  double original_context = 8192;  // tokens

  bool operator==(const RopeScaling&) const = default;
};

/// The tables of positions 0 .. T-1: our own arithmetic in double, rounded to f32, so equal on every machine.
///
/// Errors  bug for an odd head_dim, theta < 1, or tables of other shapes.
struct RopeTable {
  View cosines, sines;  // f32 [T,D/2], any row stride
  Elems head_dim = 0;
  double theta = 10000;
  RopeScaling scaling;
};
void rope_table(const RopeTable& k);

}  // namespace trireme
