// GELU has no kernel of its own: it happens between a product's sums and their storage. A product with zeros, K = 1,
// leaves just that.
#include <catch2/catch.hpp>

#include "runtime/kernels/matmul.h"
#include "tests/reference/gelu.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

/// out = epilogue(0), of x's shape.
struct ZeroProduct {
  GuardedTensor a, b, scratch;

  explicit ZeroProduct(const GuardedTensor& x)
      : a(x.type(), x.rows(), 1),
        b(x.type(), 1, x.cols()),
        scratch(DType::i32, matmul_workspace_bytes(x.rows(), x.cols(), 1, x.type(), 4) / 4 + 16) {
    for (Elems i = 0; i < a.rows(); ++i) a.set(i, 0);
    for (Elems i = 0; i < b.cols(); ++i) b.set(i, 0);
  }
  void run(View out, const Epilogue& epilogue) {
    const Bytes bytes = matmul_workspace_bytes(a.rows(), b.cols(), 1, a.type(), 4);
    const auto start = reinterpret_cast<std::uintptr_t>(scratch.view().data);
    void* aligned = reinterpret_cast<void*>((start + 63) / 64 * 64);
    matmul({.a = a, .b = b, .out = out, .epilogue = epilogue, .workspace = {aligned, DType::byte, bytes}});
  }
};

void check(DType type, Elems rows, Elems cols, double deviation) {
  GuardedTensor x(type, rows, cols, 1), pre(type, rows, cols, 3), out(type, rows, cols, 2), d_pre(type, rows, cols, 4);
  GuardedTensor d_out(type, rows, cols, 1);
  x.randomize(1, deviation), d_out.randomize(2);
  ZeroProduct zero(x);
  run_every_way({&pre, &out}, [&] { zero.run(out, {.residual = x, .gelu_pre = pre}); });
  run_every_way({&d_pre}, [&] { zero.run(d_pre, {.residual = d_out, .gelu_backward_pre = pre}); });
  CHECK(pre.values() == x.values());
  std::vector<reference::Bounded> expected, gradient;
  for (Elems i = 0; i < rows * cols; ++i) {
    expected.push_back(reference::gelu(x.at(i)));
    const auto slope = reference::gelu_slope(x.at(i));
    gradient.push_back({slope.value * d_out.at(i),
                        std::fabs(d_out.at(i)) * (slope.error + reference::f32_error * std::fabs(slope.value))});
  }
  reference::require_close(out.values(), expected, type);
  reference::require_close(d_pre.values(), gradient, type);
}

}  // namespace

TEST_CASE("gelu: value and slope are within their rounding of double precision, with equal bits everywhere",
          "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (double deviation : {1.0, 6.0})
      for (Elems rows : {1, 7, 61})
        for (Elems cols : {1, 2, 7, 15, 16, 17, 33, 64, 90, 384, 769}) check(type, rows, cols, deviation);
}

TEST_CASE("gelu: the slope is that of the forward formula, which is the tanh form", "[kernels]") {
  const double h = 1e-5;  // central difference: h^2 and 1e-16 / h, both about 1e-10
  for (double x : {-7.0, -2.5, -0.7, 0.0, 0.1, 1.4, 5.0}) {
    const double slope = (reference::gelu(x + h).value - reference::gelu(x - h).value) / (2 * h);
    CHECK(reference::gelu_slope(x).value == Approx(slope).margin(1e-8));
    CHECK(reference::gelu(x).value == Approx(0.5 * x * (1 + std::tanh(reference::gelu_inner(x) / 2))).margin(1e-14));
  }
}

TEST_CASE("gelu: a value is rounded to its storage type before the function sees it", "[kernels]") {
  cpu::set_float_mode();
  GuardedTensor x(DType::f32, 7, 33), pre(DType::bf16, 7, 33), out(DType::bf16, 7, 33), again(DType::bf16, 7, 33);
  x.randomize(3);
  ZeroProduct zero(pre);
  zero.run(out, {.residual = x, .gelu_pre = pre});
  GuardedTensor unused(DType::bf16, 7, 33);
  zero.run(again, {.residual = pre, .gelu_pre = unused});
  CHECK(out.bytes() == again.bytes());
}

}  // namespace trireme
