#include "runtime/kernels/swiglu.h"

#include "tests/reference/swiglu.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

// Gate and up are the halves of one [N,2F] matrix, as the models have them. Deviation 30 reaches where e^x ends.
void check(DType type, Elems tokens, Elems width, double deviation) {
  GuardedTensor gate_up(type, tokens, 2 * width, 3), out(type, tokens, width, 1), d_out(type, tokens, width, 2);
  GuardedTensor d_gate_up(type, tokens, 2 * width, 5);
  gate_up.randomize(1, deviation), d_out.randomize(2);
  const ConstView gate = gate_up.view().cols_from(0, width), up = gate_up.view().cols_from(width, width);
  run_every_way({&out}, [&] { swiglu_forward({.gate = gate, .up = up, .out = out}); });
  run_every_way({&d_gate_up}, [&] {
    swiglu_backward({.gate = gate,
                     .up = up,
                     .d_out = d_out,
                     .d_gate = d_gate_up.view().cols_from(0, width),
                     .d_up = d_gate_up.view().cols_from(width, width)});
  });
  std::vector<reference::Bounded> expected, gradients;
  for (Elems n = 0; n < tokens; ++n) {
    std::vector<reference::Bounded> d_up;
    for (Elems f = 0; f < width; ++f) {
      const double g = gate_up.at(n, f), u = gate_up.at(n, width + f);
      const auto gradient = reference::swiglu_backward(g, u, d_out.at(n, f));
      expected.push_back(reference::swiglu(g, u));
      gradients.push_back(gradient.d_gate), d_up.push_back(gradient.d_up);
    }
    gradients.insert(gradients.end(), d_up.begin(), d_up.end());
  }
  reference::require_close(out.values(), expected, type);
  reference::require_close(d_gate_up.values(), gradients, type);
}

}  // namespace

TEST_CASE("swiglu: both directions are within their rounding of double precision, with equal bits everywhere",
          "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (double deviation : {1.0, 30.0})
      for (Elems tokens : {1, 2, 7, 61})
        for (Elems width : {1, 2, 7, 15, 16, 17, 33, 64, 90, 384, 769}) check(type, tokens, width, deviation);
}

TEST_CASE("swiglu: the gradient is the slope of the forward formula", "[kernels]") {
  const double h = 1e-5;  // central difference: h^2 and 1e-16 / h, both about 1e-10
  for (double gate : {-9.0, -1.3, 0.0, 0.4, 6.0})
    for (double up : {-2.0, 0.7}) {
      const auto g = reference::swiglu_backward(gate, up, 1.5);
      const auto slope = [&](double dg, double du) {
        return 1.5 * (reference::swiglu(gate + dg, up + du).value - reference::swiglu(gate - dg, up - du).value) /
               (2 * h);
      };
      CHECK(g.d_gate.value == Approx(slope(h, 0)).margin(1e-8));
      CHECK(g.d_up.value == Approx(slope(0, h)).margin(1e-8));
    }
}

TEST_CASE("swiglu: a value that is not a number stays one", "[kernels]") {
  cpu::set_float_mode();
  GuardedTensor gate(DType::f32, 1, 20), up(DType::f32, 1, 20), out(DType::f32, 1, 20);
  gate.randomize(1), up.randomize(2);
  gate.set(3, std::nan("")), up.set(17, std::nan(""));
  run_every_way({}, [&] {
    swiglu_forward({.gate = gate, .up = up, .out = out});
    for (Elems i = 0; i < 20; ++i) CHECK(std::isnan(out.at(i)) == (i == 3 || i == 17));
  });
}

TEST_CASE("swiglu: views that do not fit are refused", "[kernels]") {
  GuardedTensor gate(DType::f32, 3, 8), up(DType::f32, 3, 7), out(DType::f32, 3, 8);
  CHECK_THROWS_AS(swiglu_forward({.gate = gate, .up = up, .out = out}), Error);
}

}  // namespace trireme
