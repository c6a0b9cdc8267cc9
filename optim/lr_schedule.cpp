#include "optim/lr_schedule.h"

#include <algorithm>
#include <numbers>
#include <optional>

#include "runtime/base/cos_sin.h"
#include "runtime/base/error.h"

namespace trireme {
namespace {

/// Steps of each phase that a schedule names; without a value it names none.
struct Phases {
  std::int64_t warmup = 0;
  std::optional<std::int64_t> stable, fall;  // at lr between warm-up and fall; below lr
};

Phases phases_of(const LrSchedule& s) {
  // Warm-up of one step is none: its rate is lr. The first step of a fall is at lr, too.
  Phases phases{.warmup = s.warmup <= 1 ? 0 : s.warmup};
  if (s.shape == LrShape::wsd)
    phases.stable = s.steps - phases.warmup - s.decay_steps, phases.fall = s.decay_steps - 1;
  else if (s.shape != LrShape::constant)
    phases.fall = s.steps - s.warmup - 1;
  return phases;
}

// A warm-up that takes more than half of the steps, or nothing.
std::string long_warmup(const LrSchedule& s, const Phases& phases) {
  if (2 * phases.warmup <= s.steps) return {};
  if (s.warmup < s.steps)
    return fmt::format("train.warmup = {} takes more than half of train.steps = {}", s.warmup, s.steps);
  if (s.warmup == s.steps)
    return fmt::format("train.warmup = {} takes all of train.steps: the rate is train.lr = {} in the last step alone",
                       s.warmup, s.lr);
  return fmt::format(
      "train.warmup = {} does not end within train.steps = {}: the rate rises to {:.3g}, never is train.lr = {}",
      s.warmup, s.steps, s.at(s.steps - 1), s.lr);
}

}  // namespace

const char* name(LrShape shape) {
  switch (shape) {
    case LrShape::constant: return "constant";
    case LrShape::linear: return "linear";
    case LrShape::cosine: return "cosine";
    case LrShape::wsd: return "wsd";
  }
  return "constant";
}

LrShape parse_lr_shape(std::string_view text) {
  for (LrShape shape : {LrShape::constant, LrShape::linear, LrShape::cosine, LrShape::wsd})
    if (text == name(shape)) return shape;
  throw Error(ErrorKind::config, fmt::format("train.schedule = '{}'; use cosine, linear, constant or wsd", text));
}

double LrSchedule::at(std::int64_t step) const {
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const auto part = [](std::int64_t done, std::int64_t all) {
    return all > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(all), 0.0, 1.0) : 0.0;
  };
  const double progress = part(step - warmup, steps - warmup);
  switch (shape) {
    case LrShape::constant: return lr;
    case LrShape::linear: return min_lr + (lr - min_lr) * (1 - progress);
    case LrShape::cosine: return min_lr + (lr - min_lr) * (1 + cos_sin(std::numbers::pi * progress).cosine) / 2;
    case LrShape::wsd: return min_lr + (lr - min_lr) * (1 - part(step - (steps - decay_steps), decay_steps));
  }
  return lr;
}

void validate(const LrSchedule& s) {
  require(s.shape == LrShape::constant || s.min_lr <= s.lr, ErrorKind::config,
          "train.min_lr = {} is above train.lr = {}: the rate would rise to it; give a smaller train.min_lr, or leave "
          "it out: it is then a tenth of train.lr",
          s.min_lr, s.lr);
  if (s.shape != LrShape::wsd || s.steps == 0) return;
  require(s.decay_steps > 0, ErrorKind::config,
          "train.schedule = 'wsd' needs train.decay_steps: over how many last steps the rate falls");
  require(s.decay_steps <= s.steps, ErrorKind::config, "train.decay_steps = {} is more than train.steps = {}",
          s.decay_steps, s.steps);
  require(*phases_of(s).stable >= 0, ErrorKind::config,
          "train.decay_steps = {} begin at step {} of train.steps = {}, inside train.warmup = {} (20 unless given); "
          "give fewer decay_steps, a shorter train.warmup, or more train.steps",
          s.decay_steps, s.steps - s.decay_steps, s.steps, s.warmup);
}

std::string unreached_phases(const LrSchedule& s) {
  if (s.steps == 0) return {};
  const Phases phases = phases_of(s);
  std::string said = long_warmup(s, phases);
  std::string advice = said.empty() ? "" : "; give a shorter train.warmup (20 unless given), or more train.steps";
  const auto add = [&](const std::string& what, const char* what_to_do) {
    if (said.empty()) said = fmt::format("train.schedule = '{}' with train.steps = {}", name(s.shape), s.steps);
    said += what;
    if (advice.empty()) advice = what_to_do;
  };
  if (phases.fall && s.min_lr == s.lr && s.lr > 0)
    add(fmt::format(", and train.min_lr is train.lr = {}: the rate never falls", s.lr),
        "; give a smaller train.min_lr");
  else if (phases.fall && *phases.fall <= 0)
    add(fmt::format(", and its fall ({}) never begins", name(s.shape)),
        s.shape == LrShape::wsd ? "; give more train.decay_steps" : "; give more train.steps");
  if (phases.stable && *phases.stable <= 0)
    add(fmt::format(", and train.decay_steps = {} leave none at train.lr between warm-up and fall", s.decay_steps),
        "; give fewer train.decay_steps, or more train.steps");
  return said + advice;
}

}  // namespace trireme
