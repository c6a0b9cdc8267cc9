#include "optim/lr_schedule.h"

#include <catch2/catch.hpp>

#include <algorithm>
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

TEST_CASE(
    "LrSchedule: behind the warm-up constant stays, linear and cosine fall to min_lr over all steps that are left") {
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

TEST_CASE(
    "validate: a rate that would rise to its end, and a decay that begins inside the warm-up, are refused by their "
    "keys") {
  const auto refused = [](LrShape shape, double min_lr, std::int64_t warmup, std::int64_t steps,
                          std::int64_t decay_steps) {
    try {
      validate(LrSchedule{
          .shape = shape, .lr = 1e-3, .min_lr = min_lr, .warmup = warmup, .steps = steps, .decay_steps = decay_steps});
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      return std::string(error.what());
    }
    return std::string();
  };
  for (const LrShape shape : {LrShape::linear, LrShape::cosine, LrShape::wsd}) {
    CAPTURE(name(shape));
    CHECK_THAT(refused(shape, 2e-3, 0, 10, 5),
               Catch::Contains("train.min_lr = 0.002") && Catch::Contains("train.lr = 0.001"));
    CHECK(refused(shape, 1e-3, 0, 10, 5).empty());
  }
  CHECK(refused(LrShape::constant, 2e-3, 0, 10, 0).empty());
  for (const LrShape shape : shapes)
    for (const std::int64_t steps : {0, 1, 2, 9, 10, 11, 30})
      for (const std::int64_t warmup : {0, 1, 2, 9, 10, 11, 30, 2147483647})
        for (const std::int64_t decay_steps : {0, 1, 2, 9, 10, 11, 2147483647}) {
          CAPTURE(name(shape), steps, warmup, decay_steps);
          const std::string message = refused(shape, 1e-4, warmup, steps, decay_steps);
          const bool falls_late = shape == LrShape::wsd && steps > 0;
          // A warm-up of one step is none.
          const std::int64_t rising = warmup <= 1 ? 0 : warmup;
          REQUIRE(message.empty() == (!falls_late || (decay_steps > 0 && rising + decay_steps <= steps)));
          if (!message.empty()) CHECK_THAT(message, Catch::Contains("train.decay_steps"));
          if (falls_late && decay_steps > 0 && decay_steps <= steps && !message.empty())
            CHECK_THAT(message,
                       Catch::Contains(fmt::format("begin at step {} of train.steps = {}, inside train.warmup = {}",
                                                   steps - decay_steps, steps, warmup)));
        }
}

TEST_CASE(
    "LrSchedule: what validate() lets pass rises to lr within its steps and never again, or is said to be cut short") {
  for (const LrShape shape : shapes)
    for (const std::int64_t steps : {1, 2, 3, 9, 10, 11, 30})
      for (const std::int64_t warmup : {0, 1, 2, 5, 6, 9, 10, 11, 30, 31})
        for (const std::int64_t decay_steps : {1, 2, 9, 10}) {
          const LrSchedule s = {
              .shape = shape, .lr = 1.0, .min_lr = 0.2, .warmup = warmup, .steps = steps, .decay_steps = decay_steps};
          const std::int64_t rising = warmup <= 1 ? 0 : warmup;
          if (shape == LrShape::wsd && rising + decay_steps > steps) continue;
          CAPTURE(name(shape), steps, warmup, decay_steps);
          const std::string said = unreached_phases(s);
          std::int64_t turns = 0;
          for (std::int64_t i = 2; i < steps; ++i) turns += (s.at(i) > s.at(i - 1)) && (s.at(i - 1) < s.at(i - 2));
          CHECK(turns == 0);
          if (warmup < steps || warmup <= 1) CHECK(s.at(std::max<std::int64_t>(warmup - 1, 0)) == near(1.0));
          const bool is_long = 2 * rising > steps;
          bool falls = false;
          for (std::int64_t i = warmup; i < steps; ++i) falls = falls || s.at(i) < 1;
          const bool lacks_fall = shape != LrShape::constant && !falls;
          const bool lacks_stable = shape == LrShape::wsd && rising + decay_steps == steps;
          CHECK(said.empty() == (!is_long && !lacks_fall && !lacks_stable));
          CHECK((said.find("never begins") != std::string::npos) == lacks_fall);
          CHECK((said.find("leave none at train.lr") != std::string::npos) == lacks_stable);
          if (said.empty()) continue;
          CHECK_THAT(said, Catch::Contains("train.steps") && Catch::Contains("; give "));
          if (!is_long) continue;
          CHECK_THAT(said, Catch::Contains(fmt::format("train.warmup = {} ", warmup)) &&
                               Catch::Contains("give a shorter train.warmup"));
          const bool never = said.find("never is train.lr") != std::string::npos;
          CHECK(never == (s.at(steps - 1) < 1 && warmup > steps));
        }
  CHECK_THAT(
      unreached_phases({.lr = 1e-3, .warmup = 20, .steps = 10}),
      Catch::Contains("does not end within train.steps = 10") &&
          Catch::Contains("the rate rises to 0.0005, never is train.lr = 0.001, and its fall (cosine) never begins"));
  CHECK(unreached_phases({.lr = 1e-3, .warmup = 20, .steps = 0}).empty());
}

TEST_CASE("unreached_phases: a fall of no step, no step at lr, and an end that is lr are said without a warm-up, too") {
  const auto said = [](LrShape shape, double min_lr, std::int64_t warmup, std::int64_t steps,
                       std::int64_t decay_steps) {
    const LrSchedule s = {
        .shape = shape, .lr = 1e-3, .min_lr = min_lr, .warmup = warmup, .steps = steps, .decay_steps = decay_steps};
    validate(s);
    return unreached_phases(s);
  };
  for (const LrShape shape : {LrShape::cosine, LrShape::linear}) {
    CHECK_THAT(said(shape, 1e-4, 1, 1, 0), Catch::Contains(fmt::format("its fall ({}) never begins", name(shape))));
    CHECK_THAT(said(shape, 1e-4, 0, 1, 0), Catch::Contains("never begins; give more train.steps"));
    CHECK_THAT(said(shape, 1e-3, 0, 10, 0), Catch::Contains("train.min_lr is train.lr = 0.001: the rate never falls"));
    CHECK(said(shape, 1e-4, 0, 2, 0).empty());
  }
  CHECK_THAT(said(LrShape::wsd, 1e-4, 1, 10, 10), Catch::Contains("train.decay_steps = 10 leave none at train.lr"));
  CHECK_THAT(said(LrShape::wsd, 1e-4, 4, 10, 6), Catch::Contains("fewer train.decay_steps"));
  CHECK_THAT(said(LrShape::wsd, 1e-4, 0, 10, 1), Catch::Contains("never begins; give more train.decay_steps"));
  CHECK_THAT(said(LrShape::wsd, 1e-3, 0, 10, 5), Catch::Contains("the rate never falls; give a smaller train.min_lr"));
  CHECK(said(LrShape::wsd, 1e-4, 1, 10, 9).empty());
  CHECK(said(LrShape::constant, 1e-3, 1, 1, 0).empty());
}

TEST_CASE("parse_lr_shape: names print and parse, others are refused by name") {
  for (const LrShape shape : shapes) CHECK(parse_lr_shape(name(shape)) == shape);
  CHECK_THROWS_WITH(parse_lr_shape("step"), Catch::Contains("'step'") && Catch::Contains("cosine"));
}
