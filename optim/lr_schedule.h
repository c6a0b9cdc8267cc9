#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

/// constant: lr. linear, cosine: from lr to min_lr over the steps behind the warm-up. wsd: lr, then linearly to min_lr
/// over the last `decay_steps`.
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

/// Errors: Error(config) that names keys of [train] which contradict each other: a min_lr above lr, for shapes that
/// fall to it; wsd without decay_steps, or with more of them than the warm-up leaves (one step of it is none). Without
/// steps there may be any.
void validate(const LrSchedule& schedule);

/// Which phases that the schedule names have no step, in words and with what to do: a fall, the stable phase of wsd;
/// also where the warm-up takes more than half of them, and where min_lr is lr. Empty for all else.
std::string unreached_phases(const LrSchedule& schedule);

}  // namespace trireme
