// Rates of oneDNN on the matrix products of bench_matmul, one thread, bf16, plain operands as in training: prints
// "name GF/s" a line, as bench_matmul does. Its products have no epilogue; ours have one where a step has.

#include <omp.h>

#include <cstdio>
#include <oneapi/dnnl/dnnl.hpp>

#include "perf/bench/bench.h"
#include "perf/bench/products.h"

using namespace trireme;

namespace {

/// An operand of rows x cols, or one stored the other way round and read transposed.
dnnl::memory::desc operand(Elems rows, Elems cols, bool transposed) {
  return {{rows, cols},
          dnnl::memory::data_type::bf16,
          transposed ? dnnl::memory::format_tag::ba : dnnl::memory::format_tag::ab};
}

double rate(const dnnl::engine& engine, const bench::Product& p) {
  const bench::Memory a(p.m * p.k * 2), b(p.k * p.n * 2), out(p.m * p.n * 2);
  const dnnl::memory::desc a_desc = operand(p.m, p.k, p.a_transposed), b_desc = operand(p.k, p.n, p.b_transposed),
                           out_desc = operand(p.m, p.n, false);
  const dnnl::matmul product(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a_desc, b_desc, out_desc), engine));
  dnnl::stream stream(engine);
  const dnnl::memory a_memory(a_desc, engine, a.bytes().data), b_memory(b_desc, engine, b.bytes().data),
      out_memory(out_desc, engine, out.bytes().data);
  const double seconds = bench::best_seconds(
      3,
      [&] {
        product.execute(stream, {{DNNL_ARG_SRC, a_memory}, {DNNL_ARG_WEIGHTS, b_memory}, {DNNL_ARG_DST, out_memory}});
        stream.wait();
      },
      bench::thread_seconds);
  return 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) / seconds / 1e9;
}

}  // namespace

int main() {
  omp_set_num_threads(1);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  for (const bench::Product& p : bench::products) std::printf("%-22s %7.1f GF/s\n", p.name, rate(engine, p));
}
