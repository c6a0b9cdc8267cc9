// Rates of attention forward and backward, one thread, bf16, in causal flops (T^2/2), in both orders of sums: 12 heads
// of 64 as in GPT-2, one group of heads over long sequences, other head sizes. `bench_attention ISA` runs on a lesser
// instruction set.

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "perf/bench/bench.h"
#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/threads.h"

using namespace trireme;

namespace {

// Any numbers of about the size of activations.
void fill(const View& x) {
  std::uint32_t state = 1;
  for (Elems i = 0; i < x.elems(); ++i) {
    state = state * 1664525u + 1013904223u;
    x.as<bf16>()[i] = to_bf16(static_cast<float>(state >> 8) * 0x1p-22f - 2.0f);
  }
}

void measure(ProductOrder order, const AttentionShape& shape, int runs) {
  const Elems q_width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim, t = shape.tokens;
  const Elems width = q_width + 2 * kv_width;
  const bench::Memory qkv(t * width * 2), d_qkv(t * width * 2), out(t * q_width * 2), sums(shape.heads * t * 4);
  const bench::Memory workspace(
      std::max(attention_forward_workspace_bytes(shape, 1), attention_backward_workspace_bytes(shape, 1)));
  const View x = qkv.matrix(DType::bf16, t, width), dx = d_qkv.matrix(DType::bf16, t, width);
  const View y = out.matrix(DType::bf16, t, q_width), lse = sums.matrix(DType::f32, shape.heads, t);
  fill(x);
  const auto q = [&](const View& whole) { return whole.cols_from(0, q_width); };
  const auto k = [&](const View& whole) { return whole.cols_from(q_width, kv_width); };
  const auto v = [&](const View& whole) { return whole.cols_from(q_width + kv_width, kv_width); };
  const double forward_s = bench::best_seconds(
      runs,
      [&] {
        attention_forward({.q = q(x),
                           .k = k(x),
                           .v = v(x),
                           .out = y,
                           .log_sum_exp = lse,
                           .batch = 1,
                           .heads = shape.heads,
                           .kv_heads = shape.kv_heads,
                           .scale = 0.125f,
                           .workspace = workspace.bytes(),
                           .order = order});
      },
      bench::thread_seconds);
  const double backward_s = bench::best_seconds(
      runs,
      [&] {
        attention_backward({.q = q(x),
                            .k = k(x),
                            .v = v(x),
                            .out = y,
                            .d_out = y,
                            .log_sum_exp = lse,
                            .dq = q(dx),
                            .dk = k(dx),
                            .dv = v(dx),
                            .batch = 1,
                            .heads = shape.heads,
                            .kv_heads = shape.kv_heads,
                            .scale = 0.125f,
                            .workspace = workspace.bytes(),
                            .order = order});
      },
      bench::thread_seconds);
  const double flops = 2.0 * static_cast<double>(shape.heads * t * t / 2 * shape.head_dim * 2);
  std::printf("%s heads=%d/%d D=%-4ld T=%-6ld forward %6.1f GF/s  backward %6.1f GF/s\n", name(order), shape.heads,
              shape.kv_heads, static_cast<long>(shape.head_dim), static_cast<long>(t), flops / forward_s / 1e9,
              2.5 * flops / backward_s / 1e9);
  std::fflush(stdout);
}

void measure_all(ProductOrder order) {
  for (const Elems tokens : {512, 2048, 4096})
    measure(order, {.batch = 1, .heads = 12, .kv_heads = 12, .tokens = tokens, .head_dim = 64}, 3);
  for (const Elems head_dim : {32, 80, 96, 128})
    measure(order, {.batch = 1, .heads = 4, .kv_heads = 2, .tokens = 2048, .head_dim = head_dim}, 3);
  // One group of heads: the rate at 32768 tokens should be that at 4096.
  for (const Elems tokens : {4096, 32768})
    measure(order, {.batch = 1, .heads = 2, .kv_heads = 1, .tokens = tokens, .head_dim = 64}, 1);
}

}  // namespace

int main(int argc, char** argv) {
  cpu::set_float_mode();
  if (argc > 1) cpu::select_isa(cpu::parse_isa(argv[1]));
  for (const ProductOrder order : {ProductOrder::chain, ProductOrder::tiles}) measure_all(order);
}
