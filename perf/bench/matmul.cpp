// Rates of the matrix products of a GPT-2 124M step and of some awkward shapes, bf16: prints "name GF/s" a line, and
// the register peak of a thread; then the same in the tiles order, each name after "tiles ". usage: bench_matmul
// [THREADS] [ORDER] [NAME]   (chain or tiles: that order only; NAME: only products whose name contains it)

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "perf/bench/bench.h"
#include "perf/bench/products.h"
#include "runtime/kernels/cpu/register_peak.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/matmul.h"

using namespace trireme;
using bench::Product;
using bench::products;

namespace {

double rate(const Product& p, ProductOrder order) {
  const bench::Memory a(p.m * p.k * 2), b(p.k * p.n * 2), out(p.m * p.n * 2), other(p.m * p.n * 2), bias(p.n * 2);
  const int threads = cpu::kernel_threads();
  const bench::Memory workspace(matmul_workspace_bytes(p.m, p.n, p.k, DType::bf16, threads, order));
  Epilogue epilogue;
  if (p.epilogue == Product::bias || p.epilogue == Product::bias_residual || p.epilogue == Product::bias_gelu)
    epilogue.bias = bias.matrix(DType::bf16, 1, p.n);
  if (p.epilogue == Product::bias_residual) epilogue.residual = other.matrix(DType::bf16, p.m, p.n);
  if (p.epilogue == Product::bias_gelu) epilogue.gelu_pre = other.matrix(DType::bf16, p.m, p.n);
  if (p.epilogue == Product::gelu_slope) epilogue.gelu_backward_pre = other.matrix(DType::bf16, p.m, p.n);
  const double seconds = bench::best_seconds(
      5,
      [&] {
        matmul({.a = p.a_transposed ? a.matrix(DType::bf16, p.k, p.m) : a.matrix(DType::bf16, p.m, p.k),
                .b = p.b_transposed ? b.matrix(DType::bf16, p.n, p.k) : b.matrix(DType::bf16, p.k, p.n),
                .a_transposed = p.a_transposed,
                .b_transposed = p.b_transposed,
                .out = out.matrix(DType::bf16, p.m, p.n),
                .epilogue = epilogue,
                .workspace = workspace.bytes(),
                .order = order});
      },
      threads == 1 ? bench::thread_seconds : bench::wall_seconds);
  return 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) / seconds / 1e9;
}

}  // namespace

int main(int count, char** arguments) {
  cpu::set_float_mode();
  if (count > 1 && std::atoi(arguments[1]) > 0) {
    cpu::set_kernel_threads(std::atoi(arguments[1]));
    --count, ++arguments;
  }
  const std::string_view first = count > 1 ? arguments[1] : "";
  const bool names_order = first == name(ProductOrder::chain) || first == name(ProductOrder::tiles);
  const std::string_view only = !names_order ? first : count > 2 ? arguments[2] : "";
  for (const ProductOrder order : {ProductOrder::chain, ProductOrder::tiles}) {
    if (names_order && first != name(order)) continue;
    const char* const prefix = order == ProductOrder::chain ? "" : "tiles ";
    for (const Product& p : products)
      if (std::string_view(p.name).find(only) != std::string_view::npos)
        std::printf("%s%-22s %7.1f GF/s\n", prefix, p.name, rate(p, order));
    std::printf("%s%-22s %7.1f GF/s\n", prefix, "register peak", cpu::register_peak_flops(DType::bf16, order) / 1e9);
  }
}
