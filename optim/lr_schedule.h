#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

/// constant: lr. linear, cosine: from lr to min_lr over the steps behind the warm-up. wsd: lr, then linearly to min_lr over
/// the last `decay_steps`.
enum class LrShape { constant, linear, cosine, wsd };

const char* name(LrShape shape);
/// Errors: Error(config) for a name that is none.
LrShape parse_lr_shape(std::string_view text);

struct LrSchedule {
  LrShape shape = LrShape::cosine;
  double lr = 1e-3, min_lr = 0;
  std::int64_t warmup = 0, steps = 0, decay_steps = 0;

  /// The rate of step `step`, counted from 0: lr (step + 1) / warmup while step < warmup, then the shape (design 4).
  double at(std::int64_t step) const;
};

}  // namespace trireme
