// Products in the tiles order: blocks of 32 k, each two chains. The same bits from tile registers and from everything
// else.

#include <array>
#include <bit>

#include "runtime/kernels/matmul.h"
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
  GuardedTensor a, b;

  Case(Elems rows, Elems cols, Elems depth, bool ta, bool tb, double deviation = 1)
      : m(rows),
        n(cols),
        k(depth),
        a_transposed(ta),
        b_transposed(tb),
        a(DType::bf16, ta ? depth : rows, ta ? rows : depth, 3),
        b(DType::bf16, tb ? cols : depth, tb ? depth : cols, 5) {
    a.randomize(1, deviation);
    b.randomize(2, deviation);
  }
  // Columns of b from `first_k` on: a later part of a sum.
  void run(View out, const Epilogue& epilogue = {}, Elems first_k = 0, Elems depth = -1) {
    if (depth < 0) depth = k - first_k;
    AlignedBytes workspace(
        matmul_workspace_bytes(m, n, depth, DType::bf16, cpu::kernel_threads(), ProductOrder::tiles));
    const View left = a, right = b;
    matmul({.a = a_transposed ? left.rows_from(first_k, depth) : left.cols_from(first_k, depth),
            .b = b_transposed ? right.cols_from(first_k, depth) : right.rows_from(first_k, depth),
            .a_transposed = a_transposed,
            .b_transposed = b_transposed,
            .out = out,
            .epilogue = epilogue,
            .workspace = workspace.view(),
            .order = ProductOrder::tiles});
  }
  float left(Elems row, Elems at) const { return static_cast<float>(a_transposed ? a.at(at, row) : a.at(row, at)); }
  float right(Elems at, Elems col) const { return static_cast<float>(b_transposed ? b.at(col, at) : b.at(at, col)); }
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

// The order in plain code: what every instruction set must give, down to the sign of a zero.
float tiles_sum(const Case& c, Elems row, Elems col, float start, Elems first_k, Elems end_k) {
  float sum = start;
  for (Elems block = first_k; block < end_k; block += 32) {
    float chains[2] = {0, 0};
    for (Elems k = block; k < block + 32; ++k) {
      float& chain = chains[(k - block) % 2];
      chain = k < end_k ? std::fma(c.left(row, k), c.right(k, col), chain) : std::fma(0.0f, 0.0f, chain);
    }
    sum = sum + (chains[0] + chains[1]);
  }
  return sum;
}

void require_bits(const GuardedTensor& out, Elems row, Elems col, float expected) {
  const auto bits = [](float x) { return std::bit_cast<std::uint32_t>(x); };
  if (bits(static_cast<float>(out.at(row, col))) == bits(expected)) return;
  CAPTURE(row, col, out.at(row, col), expected);
  FAIL("another sum");
}

template <typename Body>
void for_each_case(const std::vector<std::array<Elems, 3>>& shapes, Body body) {
  for (const auto& [m, n, k] : shapes)
    for (int transposes = 0; transposes < 4; ++transposes) {
      CAPTURE(m, n, k, transposes);
      Case c(m, n, k, transposes & 1, transposes & 2);
      body(c);
    }
}

const std::vector<std::array<Elems, 3>> awkward = {{1, 1, 1},     {1, 96, 2},    {2, 47, 3},  {7, 1, 31},
                                                   {32, 96, 32},  {33, 97, 33},  {31, 49, 7}, {47, 131, 1},
                                                   {131, 53, 64}, {97, 16, 131}, {1, 200, 96}};

}  // namespace

TEST_CASE("matmul, tiles: equals double precision within the rounding of its sum, the same bits everywhere",
          "[kernels]") {
  for_each_case(awkward, [](Case& c) {
    for (DType out_type : {DType::bf16, DType::f32}) {
      GuardedTensor out(out_type, c.m, c.n, 2);
      run_every_way({&out}, [&] { c.run(out); });
      reference::require_close(out.values(), c.all([&](Elems r, Elems s) { return c.expected(r, s); }), out_type);
    }
  });
}

TEST_CASE("matmul, tiles: every element is a sum of blocks of two chains, bit for bit", "[kernels]") {
  // The second is longer than one part of K; denormal products are flushed in the third.
  for_each_case({{35, 50, 41}, {9, 5, 3200}, {3, 100, 70}}, [](Case& c) {
    for (double deviation : {1.0, 1e-19}) {
      Case tiny(c.m, c.n, c.k, c.a_transposed, c.b_transposed, deviation);
      GuardedTensor out(DType::f32, c.m, c.n);
      run_every_way({&out}, [&] { tiny.run(out); });
      for (Elems row = 0; row < c.m; ++row)
        for (Elems col = 0; col < c.n; ++col) require_bits(out, row, col, tiles_sum(tiny, row, col, 0, 0, c.k));
    }
  });
}

TEST_CASE("matmul, tiles: many blocks of rows and columns, each the same as alone", "[kernels]") {
  // Two blocks of either operand; then several units of both where K is split and their sums rest in the workspace.
  for_each_case({{200, 290, 3000}, {70, 200, 3100}}, [](Case& c) {
    GuardedTensor out(DType::f32, c.m, c.n);
    for (cpu::Isa isa : {cpu::Isa::amx, cpu::Isa::avx512f, cpu::Isa::avx2}) {
      if (isa < cpu::detect_isa()) continue;
      cpu::select_isa(isa);
      for (int threads : {1, 3}) {
        if (threads == 1 && isa != cpu::detect_isa()) continue;
        cpu::set_kernel_threads(threads);
        out.blank_elements();
        c.run(out);
        for (Elems row = 0; row < c.m; row += 23)
          for (Elems col = 0; col < c.n; col += 13) require_bits(out, row, col, tiles_sum(c, row, col, 0, 0, c.k));
      }
    }
    cpu::select_isa(cpu::detect_isa());
    cpu::set_kernel_threads(1);
  });
}

TEST_CASE("matmul, tiles: accumulate adds blocks counted from the call's own first k", "[kernels]") {
  for_each_case({{9, 50, 33}, {40, 7, 3300}}, [](Case& c) {
    GuardedTensor out(DType::f32, c.m, c.n, 1);
    const Elems cut = c.k / 2 + 1;
    run_every_way({&out}, [&] {
      c.run(out, {}, 0, cut);
      c.run(out, {.accumulate = true}, cut);
    });
    for (Elems row = 0; row < c.m; ++row)
      for (Elems col = 0; col < c.n; ++col)
        require_bits(out, row, col, tiles_sum(c, row, col, tiles_sum(c, row, col, 0, 0, cut), cut, c.k));
  });
}

TEST_CASE("matmul, tiles: zeros that pad a block make no difference but that they are part of the order", "[kernels]") {
  // -1e-20 * 1e-20 is flushed to -0; the padding makes it 0, and -0 + 0 is 0.
  Case c(1, 1, 1, false, false);
  c.a.set(0, -1e-20);
  c.b.set(0, 1e-20);
  GuardedTensor out(DType::f32, 1, 1);
  out.set(0, -0.0);
  run_every_way({&out}, [&] { c.run(out, {.accumulate = true}); });
  CHECK(std::bit_cast<std::uint32_t>(static_cast<float>(out.at(0))) == 0);
}

TEST_CASE("matmul, tiles: the epilogues are those of the chain order", "[kernels]") {
  for_each_case(awkward, [](Case& c) {
    GuardedTensor bias(DType::bf16, c.n), residual(DType::bf16, c.m, c.n, 4), pre(DType::bf16, c.m, c.n, 1),
        out(DType::bf16, c.m, c.n), plain(DType::bf16, c.m, c.n);
    bias.randomize(3);
    residual.randomize(4);
    run_every_way({&out}, [&] { c.run(out, {.bias = bias, .residual = residual}); });
    reference::require_close(out.values(), c.all([&](Elems r, Elems s) {
      Bounded x = c.expected(r, s);
      for (double term : {bias.at(s), residual.at(r, s)}) {
        x.value += term;
        x.error += reference::f32_error * (std::fabs(x.value) + x.error + std::fabs(term));
      }
      return x;
    }),
                             DType::bf16);
    run_every_way({&pre, &out}, [&] { c.run(out, {.bias = bias, .gelu_pre = pre}); });
    c.run(plain, {.bias = bias});
    CHECK(pre.values() == plain.values());
    reference::require_close(out.values(), c.all([&](Elems r, Elems s) { return reference::gelu(pre.at(r, s)); }),
                             DType::bf16);
  });
}

TEST_CASE("matmul, tiles: f32 operands and a short workspace are refused", "[kernels]") {
  GuardedTensor a(DType::f32, 4, 6), b(DType::f32, 6, 5), out(DType::f32, 4, 5);
  AlignedBytes workspace(1 << 20), small(1);
  CHECK_THROWS_AS(matmul({.a = a, .b = b, .out = out, .workspace = workspace.view(), .order = ProductOrder::tiles}),
                  Error);
  Case c(4, 5, 6, false, false);
  CHECK_THROWS_AS(matmul({.a = c.a, .b = c.b, .out = out, .workspace = small.view(), .order = ProductOrder::tiles}),
                  Error);
}

}  // namespace trireme
