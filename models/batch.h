#pragma once

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/cross_entropy.h"

namespace trireme {

/// One microbatch: tokens, targets, positions, document starts i32 [N], weights f32 [N] (1, or 0), in one buffer.
/// Positions count from the start of a document, which document_starts gives as a place in the sequence: 0 without
/// documents. A target counts in the loss by target_counts(): not where it is below 0 or weighs 0.
struct Batch {
  View tokens, targets, positions, document_starts, weights;

  static constexpr Elems fields = 5;

  /// `buffer` is i32 [5 N].
  explicit Batch(const View& buffer) {
    const Elems n = buffer.elems() / fields;
    const auto field = [&](Elems i) { return View(buffer.cols_from(i * n, n).data, DType::i32, n); };
    tokens = field(0), targets = field(1), positions = field(2), document_starts = field(3);
    weights = View(field(4).data, DType::f32, n);
  }
  Elems token_count() const { return tokens.elems(); }
  /// Targets that count.
  std::int64_t valid_tokens() const {
    std::int64_t count = 0;
    for (Elems n = 0; n < token_count(); ++n)
      count += target_counts(targets.as<std::int32_t>()[n], weights.as<float>()[n]);
    return count;
  }
};

}  // namespace trireme
