#include "runtime/kernels/matmul.h"

#include <array>

#include "tests/reference/gelu.h"
#include "tests/reference/matmul.h"
#include "tests/runtime/kernels/aligned_bytes.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

using reference::Bounded;

/// Operands of one product, with gaps between their rows.
struct Case {
  Elems m, n, k;
  bool a_transposed, b_transposed;
  DType type;
  GuardedTensor a, b;

  Case(Elems rows, Elems cols, Elems depth, bool ta, bool tb, DType t)
      : m(rows),
        n(cols),
        k(depth),
        a_transposed(ta),
        b_transposed(tb),
        type(t),
        a(t, ta ? depth : rows, ta ? rows : depth, 3),
        b(t, tb ? cols : depth, tb ? depth : cols, 5) {
    a.randomize(1);
    b.randomize(2);
  }
  void run(View out, const Epilogue& epilogue = {}) {
    AlignedBytes workspace(matmul_workspace_bytes(m, n, k, type, cpu::kernel_threads()));
    matmul({.a = a,
            .b = b,
            .a_transposed = a_transposed,
            .b_transposed = b_transposed,
            .out = out,
            .epilogue = epilogue,
            .workspace = workspace.view()});
  }
  Bounded expected(Elems row, Elems col) const {
    return reference::product({a, a_transposed}, {b, b_transposed}, row, col, k);
  }
  template <typename Each>
  std::vector<Bounded> all(Each each) const {
    std::vector<Bounded> list;
    for (Elems row = 0; row < m; ++row)
      for (Elems col = 0; col < n; ++col) list.push_back(each(row, col));
    return list;
  }
};

template <typename Body>
void for_each_case(const std::vector<std::array<Elems, 3>>& shapes, Body body) {
  for (const auto& [m, n, k] : shapes)
    for (int transposes = 0; transposes < 4; ++transposes)
      for (DType type : {DType::bf16, DType::f32}) {
        CAPTURE(m, n, k, transposes, name(type));
        Case c(m, n, k, transposes & 1, transposes & 2, type);
        body(c);
      }
}

const std::vector<std::array<Elems, 3>> awkward = {{1, 1, 1},     {1, 48, 2},   {2, 47, 3},  {7, 1, 31},
                                                   {8, 48, 32},   {9, 49, 33},  {17, 97, 7}, {47, 131, 1},
                                                   {131, 53, 64}, {97, 16, 131}};

// One chain by plain code: what every instruction set must give.
float chain(const Case& c, Elems row, Elems col, float start) {
  const auto a = [&](Elems k) {
    return k < c.k ? static_cast<float>(c.a_transposed ? c.a.at(k, row) : c.a.at(row, k)) : 0.0f;
  };
  const auto b = [&](Elems k) {
    return k < c.k ? static_cast<float>(c.b_transposed ? c.b.at(col, k) : c.b.at(k, col)) : 0.0f;
  };
  float sum = start;
  if (c.type == DType::f32)
    for (Elems k = 0; k < c.k; ++k) sum = std::fma(a(k), b(k), sum);
  else
    for (Elems k = 0; k < c.k; k += 2) sum = std::fma(a(k), b(k), std::fma(a(k + 1), b(k + 1), sum));
  return sum;
}

}  // namespace

TEST_CASE("matmul: equals double precision within the rounding of its chain, the same bits everywhere", "[kernels]") {
  for_each_case(awkward, [](Case& c) {
    for (DType out_type : {DType::bf16, DType::f32}) {
      GuardedTensor out(out_type, c.m, c.n, 2);
      run_every_way({&out}, [&] { c.run(out); });
      reference::require_close(out.values(), c.all([&](Elems r, Elems s) { return c.expected(r, s); }), out_type);
    }
  });
}

TEST_CASE("matmul: every element is one chain over K, bit for bit", "[kernels]") {
  for_each_case({{3, 50, 41}, {9, 5, 3100}}, [](Case& c) {
    GuardedTensor out(DType::f32, c.m, c.n);
    run_every_way({&out}, [&] { c.run(out); });
    for (Elems row = 0; row < c.m; ++row)
      for (Elems col = 0; col < c.n; ++col) REQUIRE(static_cast<float>(out.at(row, col)) == chain(c, row, col, 0));
  });
}

TEST_CASE("matmul: accumulate goes on with the chain that out holds", "[kernels]") {
  for_each_case({{9, 50, 33}, {4, 7, 3200}, {9, 50, 3200}}, [](Case& c) {
    GuardedTensor out(DType::f32, c.m, c.n, 1), start(DType::f32, c.m, c.n, 1);
    start.randomize(5);
    out = start;
    run_every_way({&out}, [&] { c.run(out, {.accumulate = true}); });
    for (Elems row = 0; row < c.m; ++row)
      for (Elems col = 0; col < c.n; ++col)
        REQUIRE(static_cast<float>(out.at(row, col)) == chain(c, row, col, static_cast<float>(start.at(row, col))));
  });
}

TEST_CASE("matmul: bias and residual are added to the f32 sum and rounded once", "[kernels]") {
  for_each_case(awkward, [](Case& c) {
    for (DType type : {DType::bf16, DType::f32}) {
      GuardedTensor bias(type, c.n), residual(type, c.m, c.n, 4), out(type, c.m, c.n);
      bias.randomize(3);
      residual.randomize(4);
      const auto expected = [&](bool biased) {
        return c.all([&](Elems r, Elems s) {
          Bounded x = c.expected(r, s);
          for (double term : {biased ? bias.at(s) : 0.0, residual.at(r, s)}) {
            x.value += term;
            x.error += reference::f32_error * (std::fabs(x.value) + x.error + std::fabs(term));
          }
          return x;
        });
      };
      run_every_way({&out}, [&] { c.run(out, {.bias = bias, .residual = residual}); });
      reference::require_close(out.values(), expected(true), type);
      run_every_way({&out}, [&] { c.run(out, {.residual = residual}); });
      reference::require_close(out.values(), expected(false), type);
    }
  });
}

TEST_CASE("matmul: a stored bf16 is to_bf16 of its sum, from the smallest numbers to NaN", "[kernels]") {
  // A float is the exact sum of three bf16: a row of a holds its parts, b is ones.
  constexpr Elems rows = 6 * 512, cols = 50;
  Case c(rows, cols, 3, false, false, DType::bf16);
  for (Elems col = 0; col < cols; ++col)
    for (Elems k = 0; k < 3; ++k) c.b.set(k, col, 1);
  constexpr std::uint32_t turning[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff};
  for (Elems row = 0; row < rows; ++row) {
    const auto upper = static_cast<std::uint32_t>(row / 6 * 128 + row / 6 % 128) << 16;
    const auto high = std::bit_cast<float>(upper);
    const float rest = std::isfinite(high) ? std::bit_cast<float>(upper | turning[row % 6]) - high : 0;
    c.a.set(row, 2, high);
    c.a.set(row, 1, rest);
    c.a.set(row, 0, rest - static_cast<float>(c.a.at(row, 1)));
  }
  GuardedTensor out(DType::bf16, rows, cols);
  run_every_way({&out}, [&] { c.run(out); });
  for (Elems row = 0; row < rows; ++row) {
    const bf16 expected = to_bf16(chain(c, row, 0, 0));
    for (Elems col = 0; col < cols; ++col) {
      const bf16 stored = out.view().row(row).as<bf16>()[col];
      REQUIRE((stored == expected || (std::isnan(to_f32(stored)) && std::isnan(to_f32(expected)))));
    }
  }
}

TEST_CASE("matmul: the fused GELU is the GELU of the rounded pre-activation", "[kernels]") {
  for_each_case(awkward, [](Case& c) {
    GuardedTensor bias(c.type, c.n), pre(c.type, c.m, c.n, 1), out(c.type, c.m, c.n, 2), plain(c.type, c.m, c.n);
    bias.randomize(3);
    run_every_way({&pre, &out}, [&] { c.run(out, {.bias = bias, .gelu_pre = pre}); });
    c.run(plain, {.bias = bias});
    CHECK(pre.values() == plain.values());
    reference::require_close(out.values(), c.all([&](Elems r, Elems s) { return reference::gelu(pre.at(r, s)); }),
                             c.type);
  });
}

TEST_CASE("matmul: the product is multiplied by the slope of GELU", "[kernels]") {
  for_each_case(awkward, [](Case& c) {
    GuardedTensor pre(c.type, c.m, c.n, 3), out(c.type, c.m, c.n);
    pre.randomize(6, 2);
    run_every_way({&out}, [&] { c.run(out, {.gelu_backward_pre = pre}); });
    reference::require_close(out.values(), c.all([&](Elems r, Elems s) {
      Bounded y = c.expected(r, s);
      const Bounded slope = reference::gelu_slope(pre.at(r, s));
      y.error = y.error * (std::fabs(slope.value) + slope.error) + std::fabs(y.value) * slope.error;
      y.value *= slope.value;
      y.error += reference::f32_error * (std::fabs(y.value) + y.error);
      return y;
    }),
                             c.type);
  });
}

TEST_CASE("matmul: wrong shapes, types and a short workspace are refused", "[kernels]") {
  Case c(4, 5, 6, false, false, DType::f32);
  GuardedTensor wrong(DType::f32, 5, 4), out(DType::bf16, 4, 5);
  CHECK_THROWS_AS(c.run(wrong), Error);
  CHECK_THROWS_AS(c.run(out, {.accumulate = true}), Error);
  AlignedBytes workspace(1);
  CHECK_THROWS_AS(matmul({.a = c.a, .b = c.b, .out = out, .workspace = workspace.view()}), Error);
  const View a = c.a, b = c.b;
  CHECK_THROWS_AS(matmul({.a = a.cols_from(0, 0), .b = b.rows_from(0, 0), .out = out, .workspace = workspace.view()}),
                  Error);
}

TEST_CASE("matmul: an epilogue whose views are of another shape or type is refused on any threads", "[kernels]") {
  Case c(4, 5, 6, false, false, DType::f32);
  GuardedTensor out(DType::f32, 4, 5), turned(DType::f32, 5, 4), row(DType::f32, 4), narrow(DType::bf16, 4, 5),
      integers(DType::i32, 4, 5);
  for (int threads : {1, 2}) {
    cpu::set_kernel_threads(threads);
    CHECK_THROWS_AS(c.run(out, {.bias = row}), Error);
    CHECK_THROWS_AS(c.run(out, {.residual = turned}), Error);
    CHECK_THROWS_AS(c.run(out, {.residual = integers}), Error);
    CHECK_THROWS_AS(c.run(out, {.gelu_pre = narrow}), Error);
    CHECK_THROWS_AS(c.run(out, {.gelu_backward_pre = turned}), Error);
    CHECK_THROWS_AS(c.run(integers), Error);
    CHECK_NOTHROW(c.run(out, {.residual = narrow}));
  }
  cpu::set_kernel_threads(1);
}

}  // namespace trireme
