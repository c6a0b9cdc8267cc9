#include "runtime/kernels/adamw.h"

#include "tests/reference/adamw.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

/// Everything one step reads and writes.
struct Run {
  explicit Run(Elems n)
      : p(DType::f32, n), m(DType::f32, n), v(DType::f32, n), g(DType::f32, n), exported(DType::bf16, n) {
    p.randomize(1), m.randomize(2, 0.1), v.randomize(3, 0.01), g.randomize(4);
    for (Elems i = 0; i < n; ++i) v.set(i, std::fabs(v.at(i)));
  }
  AdamW step(const reference::AdamwSettings& s) {
    return {.master = p,
            .m = m,
            .v = v,
            .gradient = g,
            .exported = exported,
            .learning_rate = s.learning_rate,
            .beta1 = s.beta1,
            .beta2 = s.beta2,
            .eps = s.eps,
            .weight_decay = s.weight_decay,
            .correction1 = s.correction1,
            .correction2 = s.correction2,
            .gradient_scale = s.gradient_scale};
  }
  GuardedTensor p, m, v, g, exported;
};

/// The scalars of step t.
reference::AdamwSettings settings(int t, double decay, double scale) {
  return {1e-2, 0.9, 0.95, 1e-8, decay, 1 - std::pow(0.9, t), 1 - std::pow(0.95, t), scale};
}

void check(Elems n, const reference::AdamwSettings& s) {
  CAPTURE(n, s.correction1, s.weight_decay);
  Run run(n);
  std::vector<reference::Bounded> p, m, v;
  for (Elems i = 0; i < n; ++i) {
    const auto expected = reference::adamw(s, run.p.at(i), run.m.at(i), run.v.at(i), run.g.at(i));
    p.push_back(expected.master), m.push_back(expected.m), v.push_back(expected.v);
  }
  run_every_way({&run.p, &run.m, &run.v, &run.exported}, [&] { adamw(run.step(s)); });
  reference::require_close(run.p.values(), p, DType::f32);
  reference::require_close(run.m.values(), m, DType::f32);
  reference::require_close(run.v.values(), v, DType::f32);
  for (Elems i = 0; i < n; ++i) REQUIRE(run.exported.at(i) == to_f32(to_bf16(static_cast<float>(run.p.at(i)))));
}

}  // namespace

TEST_CASE("adamw: one step as PyTorch writes it, the same bits everywhere", "[kernels]") {
  for (Elems n : {1, 2, 15, 16, 17, 1023, 1024, 1025, 40001}) check(n, settings(3, 0.1, 0.7));
  check(4099, settings(1, 0, 1));
  check(4099, settings(100000, 0.1, 1e-3));
}

TEST_CASE("adamw: without an exported copy the states have the same bits", "[kernels]") {
  cpu::set_float_mode();
  Run with(1025), without(1025);
  const auto s = settings(2, 0.1, 1);
  adamw(with.step(s));
  AdamW step = without.step(s);
  step.exported = {};
  adamw(step);
  CHECK(without.p.bytes() == with.p.bytes());
  CHECK(without.m.bytes() == with.m.bytes());
  CHECK(without.v.bytes() == with.v.bytes());
}

TEST_CASE("adamw: slices updated apart have the bits of the whole", "[kernels]") {
  cpu::set_float_mode();
  Run whole(4099), parts(4099);
  const auto s = settings(2, 0.1, 1);
  adamw(whole.step(s));
  for (Elems first = 0; first < 4099; first += 1000) {
    const Elems n = std::min<Elems>(1000, 4099 - first);
    AdamW step = parts.step(s);
    for (View* view : {&step.master, &step.m, &step.v, &step.exported}) *view = view->cols_from(first, n);
    step.gradient = step.gradient.cols_from(first, n);
    adamw(step);
  }
  CHECK(parts.p.bytes() == whole.p.bytes());
  CHECK(parts.v.bytes() == whole.v.bytes());
  CHECK(parts.exported.bytes() == whole.exported.bytes());
}

TEST_CASE("adamw: an element without gradient or states only decays, in the first step too", "[kernels]") {
  cpu::set_float_mode();
  Run run(17);
  for (Elems i = 0; i < 17; ++i) run.m.set(i, 0), run.v.set(i, 0), run.g.set(i, 0);
  const GuardedTensor before = run.p;
  adamw(run.step(settings(1, 0.1, 1)));
  for (Elems i = 0; i < 17; ++i) {
    CHECK(run.p.at(i) == static_cast<float>(before.at(i)) * static_cast<float>(1 - 1e-2 * 0.1));
    CHECK(run.m.at(i) == 0);
    CHECK(run.v.at(i) == 0);
  }
}

TEST_CASE("adamw: views of other lengths or types are refused", "[kernels]") {
  Run run(16);
  GuardedTensor shorter(DType::f32, 15), wide(DType::f32, 16);
  AdamW step = run.step(settings(1, 0.1, 1));
  step.gradient = shorter;
  CHECK_THROWS_AS(adamw(step), Error);
  step = run.step(settings(1, 0.1, 1));
  step.exported = wide;
  CHECK_THROWS_AS(adamw(step), Error);
}

}  // namespace trireme
