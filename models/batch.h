#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// One microbatch: tokens, targets, positions i32 [N], weights f32 [N] (0: the target does not count), in one buffer.
struct Batch {
  View tokens, targets, positions, weights;

  static constexpr Elems fields = 4;

  /// `buffer` is i32 [4 N].
  explicit Batch(const View& buffer) {
    const Elems n = buffer.elems() / fields;
    const auto field = [&](Elems i) { return View(buffer.cols_from(i * n, n).data, DType::i32, n); };
    tokens = field(0), targets = field(1), positions = field(2);
    weights = View(field(3).data, DType::f32, n);
  }
  Elems token_count() const { return tokens.elems(); }
};

}  // namespace trireme
