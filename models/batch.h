#pragma once

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/cross_entropy.h"

namespace trireme {

/// One microbatch: tokens, targets, positions i32 [N], weights f32 [N] (1, or 0), in one buffer.
/// A target counts in the loss by target_counts(): not where it is below 0 or weighs 0.
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
  /// Targets that count.
  std::int64_t valid_tokens() const {
    std::int64_t count = 0;
    for (Elems n = 0; n < token_count(); ++n) count += target_counts(targets.as<std::int32_t>()[n], weights.as<float>()[n]);
    return count;
  }
};

}  // namespace trireme
