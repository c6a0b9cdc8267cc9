#pragma once
// The two shapes of parameter that transformers have, with their init (design 4, exact recipe), and their numbers.

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "models/shapes.h"
#include "models/unit_tensors.h"
#include "shard/unit.h"

namespace trireme {

inline constexpr double init_deviation = 0.02;

/// Deviation of the projections that write into the residual stream.
inline double out_deviation(const Shapes& s) { return init_deviation / std::sqrt(2.0 * static_cast<double>(s.L)); }

/// A matrix [rows, cols]: normal, decayed. The last `padding_rows` start as zero.
inline TensorSpec matrix(std::string name, Elems rows, Elems cols, double deviation = init_deviation,
                         Elems padding_rows = 0) {
  return {.name = std::move(name),
          .rows = rows,
          .cols = cols,
          .init = {.kind = InitRule::Kind::normal, .value = deviation, .padding_rows = padding_rows},
          .decay = true};
}

/// A gain or bias [cols]: constant, not decayed.
inline TensorSpec vector(std::string name, Elems cols, double value) {
  return {.name = std::move(name), .cols = cols, .init = {.kind = InitRule::Kind::constant, .value = value}};
}

/// The token table [Vp,C].
inline TensorSpec vocabulary_matrix(std::string name, const Shapes& s) {
  return matrix(std::move(name), s.Vp, s.C, init_deviation, s.Vp - s.V);
}

/// Numbers tensors in layout order: the same calls, with the same conditions, as those of TensorList.
class TensorNumbers {
 public:
  int next(bool exists = true) { return exists ? count_++ : no_tensor; }

 private:
  int count_ = 0;
};

/// Collects the tensors that have a number.
class TensorList {
 public:
  void add(int number, TensorSpec tensor) {
    if (number == no_tensor) return;
    ensure(number == static_cast<int>(list_.size()), "tensor {} has number {}", tensor.name, number);
    list_.push_back(std::move(tensor));
  }
  std::vector<TensorSpec> take() { return std::move(list_); }

 private:
  std::vector<TensorSpec> list_;
};

}  // namespace trireme
