// Rates of the matrix products of a GPT-2 124M step, one thread, bf16: prints "name GF/s" a line, and the register peak;
// then the same in the tiles order, each name after "tiles ". The name of an order as the argument: that one only.

#include <cstdio>
#include <cstring>

#include "perf/bench/bench.h"
#include "runtime/kernels/cpu/register_peak.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/matmul.h"

using namespace trireme;

namespace {

struct Product {
  const char* name;
  Elems m, n, k;
  bool a_transposed, b_transposed;
  enum { plain, bias, bias_residual, bias_gelu, gelu_slope } epilogue;
};

// 4 sequences of 512 tokens; the head in chunks of 1,024 tokens. Names as the prototype's step prints them.
constexpr Product products[] = {
    {"fwd qkv(+bias)", 2048, 2304, 768, false, true, Product::bias},
    {"fwd o(+bias+res)", 2048, 768, 768, false, true, Product::bias_residual},
    {"fwd fc(+bias+gelu)", 2048, 3072, 768, false, true, Product::bias_gelu},
    {"fwd proj(+bias+res)", 2048, 768, 3072, false, true, Product::bias_residual},
    {"head logits", 1024, 50304, 768, false, true, Product::plain},
    {"head dX", 1024, 768, 50304, false, false, Product::plain},
    {"head dW", 50304, 768, 1024, true, false, Product::plain},
    {"dW proj", 768, 3072, 2048, true, false, Product::plain},
    {"dX proj(*gelu')", 2048, 3072, 768, false, false, Product::gelu_slope},
    {"dW fc", 3072, 768, 2048, true, false, Product::plain},
    {"dX fc", 2048, 768, 3072, false, false, Product::plain},
    {"dW o", 768, 768, 2048, true, false, Product::plain},
    {"dX o", 2048, 768, 768, false, false, Product::plain},
    {"dW qkv", 2304, 768, 2048, true, false, Product::plain},
    {"dX qkv", 2048, 768, 2304, false, false, Product::plain},
};

double rate(const Product& p, ProductOrder order) {
  const bench::Memory a(p.m * p.k * 2), b(p.k * p.n * 2), out(p.m * p.n * 2), other(p.m * p.n * 2), bias(p.n * 2);
  const bench::Memory workspace(matmul_workspace_bytes(p.m, p.n, p.k, DType::bf16, 1, order));
  Epilogue epilogue;
  if (p.epilogue == Product::bias || p.epilogue == Product::bias_residual || p.epilogue == Product::bias_gelu)
    epilogue.bias = bias.matrix(DType::bf16, 1, p.n);
  if (p.epilogue == Product::bias_residual) epilogue.residual = other.matrix(DType::bf16, p.m, p.n);
  if (p.epilogue == Product::bias_gelu) epilogue.gelu_pre = other.matrix(DType::bf16, p.m, p.n);
  if (p.epilogue == Product::gelu_slope) epilogue.gelu_backward_pre = other.matrix(DType::bf16, p.m, p.n);
  const double seconds = bench::best_seconds(3, [&] {
    matmul({.a = p.a_transposed ? a.matrix(DType::bf16, p.k, p.m) : a.matrix(DType::bf16, p.m, p.k),
            .b = p.b_transposed ? b.matrix(DType::bf16, p.n, p.k) : b.matrix(DType::bf16, p.k, p.n),
            .a_transposed = p.a_transposed, .b_transposed = p.b_transposed, .out = out.matrix(DType::bf16, p.m, p.n),
            .epilogue = epilogue, .workspace = workspace.bytes(), .order = order});
  });
  return 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) / seconds / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  cpu::set_float_mode();
  for (const ProductOrder order : {ProductOrder::chain, ProductOrder::tiles}) {
    if (argc > 1 && std::strcmp(argv[1], name(order)) != 0) continue;
    const char* const prefix = order == ProductOrder::chain ? "" : "tiles ";
    const double peak = cpu::register_peak_flops(DType::bf16, order) / 1e9;
    for (const Product& p : products) std::printf("%s%-22s %7.1f GF/s\n", prefix, p.name, rate(p, order));
    std::printf("%s%-22s %7.1f GF/s\n", prefix, "register peak", peak);
  }
}
