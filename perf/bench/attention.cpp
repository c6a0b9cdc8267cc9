// Rates of attention forward and backward, 12 heads of 64, one thread, bf16, in causal flops (T^2/2), in both orders
// of sums.

#include <cmath>
#include <cstdio>

#include "perf/bench/bench.h"
#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/threads.h"

using namespace trireme;

namespace {

void bench_length(ProductOrder order, Elems tokens) {
  const AttentionShape shape{.batch = 1, .heads = 12, .kv_heads = 12, .tokens = tokens, .head_dim = 64};
  const Elems width = 12 * 64;
  const bench::Memory qkv(tokens * 3 * width * 2), d_qkv(tokens * 3 * width * 2), out(tokens * width * 2), sums(12 * tokens * 4);
  const bench::Memory workspace(std::max(attention_forward_workspace_bytes(shape, 1), attention_backward_workspace_bytes(shape, 1)));
  const View x = qkv.matrix(DType::bf16, tokens, 3 * width), dx = d_qkv.matrix(DType::bf16, tokens, 3 * width);
  const auto part = [&](const View& whole, Elems i) { return whole.cols_from(i * width, width); };
  const View y = out.matrix(DType::bf16, tokens, width), lse = sums.matrix(DType::f32, 12, tokens);
  const double forward_s = bench::best_seconds(3, [&] {
    attention_forward({.q = part(x, 0), .k = part(x, 1), .v = part(x, 2), .out = y, .log_sum_exp = lse, .batch = 1, .heads = 12,
                       .kv_heads = 12, .scale = 0.125f, .workspace = workspace.bytes(), .order = order});
  });
  const double backward_s = bench::best_seconds(3, [&] {
    attention_backward({.q = part(x, 0), .k = part(x, 1), .v = part(x, 2), .out = y, .d_out = y, .log_sum_exp = lse,
                        .dq = part(dx, 0), .dk = part(dx, 1), .dv = part(dx, 2), .batch = 1, .heads = 12, .kv_heads = 12,
                        .scale = 0.125f, .workspace = workspace.bytes(), .order = order});
  });
  const double flops = 2.0 * 12 * static_cast<double>(tokens * tokens) / 2 * 64 * 2;
  std::printf("%s T=%-6ld forward %6.1f GF/s  backward %6.1f GF/s\n", name(order), static_cast<long>(tokens), flops / forward_s / 1e9,
              2.5 * flops / backward_s / 1e9);
}

}  // namespace

int main() {
  cpu::set_float_mode();
  for (const ProductOrder order : {ProductOrder::chain, ProductOrder::tiles})
    for (const Elems tokens : {512, 2048, 4096}) bench_length(order, tokens);
}
