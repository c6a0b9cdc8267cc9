#pragma once
// The two shapes of parameter that transformers have, with their init (design 4, exact recipe).

#include <cmath>
#include <string>
#include <utility>

#include "models/shapes.h"
#include "shard/unit.h"

namespace trireme {

inline constexpr double init_deviation = 0.02;

/// Deviation of the projections that write into the residual stream.
inline double out_deviation(const Shapes& s) { return init_deviation / std::sqrt(2.0 * static_cast<double>(s.L)); }

/// A matrix [rows, cols]: normal, decayed. The last `padding_rows` start as zero.
inline TensorSpec matrix(std::string name, Elems rows, Elems cols, double deviation = init_deviation,
                         Elems padding_rows = 0) {
  return {.name = std::move(name), .rows = rows, .cols = cols,
          .init = {.kind = InitRule::Kind::normal, .value = deviation, .padding_rows = padding_rows}, .decay = true};
}

/// A gain or bias [cols]: constant, not decayed.
inline TensorSpec vector(std::string name, Elems cols, double value) {
  return {.name = std::move(name), .cols = cols, .init = {.kind = InitRule::Kind::constant, .value = value}};
}

/// The token table [Vp,C].
inline TensorSpec vocabulary_matrix(std::string name, const Shapes& s) {
  return matrix(std::move(name), s.Vp, s.C, init_deviation, s.Vp - s.V);
}

/// Model flops of one attention segment forward on one microbatch: projections, and mixing at T^2/2.
inline double attention_flops(const Shapes& s) {
  const auto projections = static_cast<double>(s.N) * static_cast<double>(s.C * (s.qkv() + s.C));
  const auto mixing = static_cast<double>(s.N) * static_cast<double>(s.T) / 2 * static_cast<double>(2 * s.C);
  return 2 * (projections + mixing);
}

}  // namespace trireme
