#include "optim/lr_schedule.h"

#include <algorithm>
#include <numbers>

#include "runtime/base/cos_sin.h"
#include "runtime/base/error.h"

namespace trireme {

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

}  // namespace trireme
