#include "optim/lr_schedule.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <numbers>

#include "runtime/base/error.h"

using namespace trireme;

namespace {

constexpr LrShape shapes[] = {LrShape::constant, LrShape::linear, LrShape::cosine, LrShape::wsd};

LrSchedule schedule(LrShape shape) {
  return {.shape = shape, .lr = 1.0, .min_lr = 0.2, .warmup = 4, .steps = 24, .decay_steps = 5};
}

// A few operations in double, and a cosine.
Approx near(double value) { return Approx(value).epsilon(1e-14); }

}  // namespace

TEST_CASE("LrSchedule: warm-up goes up in equal parts and ends at lr, for every shape") {
  for (const LrShape shape : shapes) {
    CAPTURE(name(shape));
    for (int s = 0; s < 4; ++s) CHECK(schedule(shape).at(s) == near((s + 1) / 4.0));
    CHECK(schedule(shape).at(4) == near(1.0));
  }
}

TEST_CASE("LrSchedule: behind the warm-up constant stays, linear and cosine fall to min_lr over all steps that are left") {
  CHECK(schedule(LrShape::constant).at(23) == 1.0);
  for (int s = 4; s <= 24; ++s) {
    const double progress = (s - 4) / 20.0;
    CHECK(schedule(LrShape::linear).at(s) == near(1.0 - 0.8 * progress));
    CHECK(schedule(LrShape::cosine).at(s) == near(0.2 + 0.8 * (1 + std::cos(std::numbers::pi * progress)) / 2));
  }
  CHECK(schedule(LrShape::linear).at(14) == near(0.6));
  CHECK(schedule(LrShape::cosine).at(14) == near(0.6));
}

TEST_CASE("LrSchedule: wsd stays at lr and falls over the last decay_steps") {
  for (int s = 4; s <= 19; ++s) CHECK(schedule(LrShape::wsd).at(s) == 1.0);
  for (int s = 19; s <= 24; ++s) CHECK(schedule(LrShape::wsd).at(s) == near(1.0 - 0.8 * (s - 19) / 5.0));
}

TEST_CASE("LrSchedule: behind the last step the rate stays at its end") {
  for (const LrShape shape : shapes) {
    CAPTURE(name(shape));
    const double end = shape == LrShape::constant ? 1.0 : 0.2;
    CHECK(schedule(shape).at(24) == near(end));
    CHECK(schedule(shape).at(1000) == near(end));
  }
}

TEST_CASE("LrSchedule: without warm-up, with nothing but warm-up, and without decay the rate is finite and says so") {
  for (const LrShape shape : shapes) {
    CAPTURE(name(shape));
    LrSchedule edge = schedule(shape);
    edge.warmup = 0;
    CHECK(edge.at(0) == near(1.0));
    edge.warmup = edge.steps;
    CHECK(edge.at(edge.steps - 1) == near(1.0));
    CHECK(std::isfinite(edge.at(edge.steps)));
    edge.steps = 0;
    CHECK(std::isfinite(edge.at(0)));
  }
  LrSchedule no_decay = schedule(LrShape::wsd);
  no_decay.decay_steps = 0;
  for (int s = 4; s < 24; ++s) CHECK(no_decay.at(s) == 1.0);
}

TEST_CASE("parse_lr_shape: names print and parse, others are refused by name") {
  for (const LrShape shape : shapes) CHECK(parse_lr_shape(name(shape)) == shape);
  CHECK_THROWS_WITH(parse_lr_shape("step"), Catch::Contains("'step'") && Catch::Contains("cosine"));
}
