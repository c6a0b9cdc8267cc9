// Attention of one head group over a long sequence, forward and backward, one thread, bf16: "T forward_gflops
// backward_gflops" in causal flops (T^2/2). perf/attention_length runs it once per length and looks at its memory from
// outside.

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "perf/bench/bench.h"
#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/threads.h"

using namespace trireme;

namespace {

constexpr int heads = 2, runs = 2;
constexpr Elems head_dim = 64;

void time_length(Elems tokens) {
  const AttentionShape shape{.batch = 1, .heads = heads, .kv_heads = 1, .tokens = tokens, .head_dim = head_dim};
  const Bytes forward_bytes = attention_forward_workspace_bytes(shape, 1),
              backward_bytes = attention_backward_workspace_bytes(shape, 1);
  const Bytes key_bytes = tokens * head_dim * 2, query_bytes = heads * key_bytes;
  const bench::Memory q(query_bytes), out(query_bytes), d_out(query_bytes), dq(query_bytes);
  const bench::Memory k(key_bytes), v(key_bytes), dk(key_bytes), dv(key_bytes);
  const bench::Memory sums(heads * tokens * 4), workspace(std::max(forward_bytes, backward_bytes));
  const auto of_queries = [&](const bench::Memory& memory) {
    return memory.matrix(DType::bf16, tokens, heads * head_dim);
  };
  const auto of_keys = [&](const bench::Memory& memory) { return memory.matrix(DType::bf16, tokens, head_dim); };
  const View log_sum_exp = sums.matrix(DType::f32, heads, tokens);
  const AttentionForward forward{.q = of_queries(q),
                                 .k = of_keys(k),
                                 .v = of_keys(v),
                                 .out = of_queries(out),
                                 .log_sum_exp = log_sum_exp,
                                 .batch = 1,
                                 .heads = heads,
                                 .kv_heads = 1,
                                 .scale = 0.125f,
                                 .workspace = workspace.bytes()};
  const AttentionBackward backward{.q = of_queries(q),
                                   .k = of_keys(k),
                                   .v = of_keys(v),
                                   .out = of_queries(out),
                                   .d_out = of_queries(d_out),
                                   .log_sum_exp = log_sum_exp,
                                   .dq = of_queries(dq),
                                   .dk = of_keys(dk),
                                   .dv = of_keys(dv),
                                   .batch = 1,
                                   .heads = heads,
                                   .kv_heads = 1,
                                   .scale = 0.125f,
                                   .workspace = workspace.bytes()};
  const double forward_s = bench::best_seconds(
      runs, [&] { attention_forward(forward); }, bench::thread_seconds);
  const double backward_s = bench::best_seconds(
      runs, [&] { attention_backward(backward); }, bench::thread_seconds);
  const double flops = 2.0 * heads * static_cast<double>(tokens) * static_cast<double>(tokens) / 2 * head_dim * 2;
  std::printf("%ld %.2f %.2f\n", static_cast<long>(tokens), flops / forward_s / 1e9, 2.5 * flops / backward_s / 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: bench_attention_length TOKENS...\n"), 2;
  cpu::set_float_mode();
  for (int i = 1; i < argc; ++i) {
    const Elems tokens = std::atol(argv[i]);
    if (tokens < 1) return std::fprintf(stderr, "bench_attention_length: '%s' tokens\n", argv[i]), 2;
    time_length(tokens);
  }
}
