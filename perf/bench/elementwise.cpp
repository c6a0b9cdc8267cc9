// Every kernel that is no matrix product and no attention against the memory it moves: GB/s on the shapes of a GPT-2
// 124M step (and Llama's of the same width), and as a part of what plain copying reaches in the same run. usage:
// bench_elementwise [THREADS] [NAME]     (NAME: only kernels whose name contains it)

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "perf/bench/bench.h"
#include "runtime/base/exact_sum.h"
#include "runtime/kernels/adamw.h"
#include "runtime/kernels/bias.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/copy.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cross_entropy.h"
#include "runtime/kernels/embedding.h"
#include "runtime/kernels/fill_normal.h"
#include "runtime/kernels/layer_norm.h"
#include "runtime/kernels/ordered_add.h"
#include "runtime/kernels/rms_norm.h"
#include "runtime/kernels/rope.h"
#include "runtime/kernels/square_sum.h"
#include "runtime/kernels/swiglu.h"

using namespace trireme;

namespace {

// Tokens of a microbatch, channels, width of an MLP, vocabulary and its padding, elements of one block's slice.
constexpr Elems tokens = 2048, channels = 768, ffn = 3072, vocabulary = 50257, padded = 50304, slice = 7 << 20;

constexpr DType b16 = DType::bf16, f32 = DType::f32;

/// A kernel, and the bytes that it must read and write at least.
struct Case {
  std::string name;
  double bytes;
  std::function<void()> run;
};

/// Numbers of about `deviation`, as every kernel meets them: zeros would flatter the ones that branch.
bench::Memory numbers(DType type, Elems elems, double deviation = 1) {
  const bench::Memory values(elems * 4);
  fill_normal({.out = values.matrix(f32, 1, elems), .random = Random(1, "bench"), .scale = deviation});
  bench::Memory out(elems * size_bytes(type));
  cast({.in = values.matrix(f32, 1, elems), .out = out.matrix(type, 1, elems)});
  return out;
}

/// Operands of all kernels; built once.
struct Operands {
  bench::Memory x = numbers(b16, tokens*ffn), y = numbers(b16, tokens*ffn), z = numbers(b16, tokens*ffn);
  bench::Memory out{tokens * ffn * 2}, out2{tokens * ffn * 2};
  bench::Memory gain = numbers(b16, ffn), shift = numbers(b16, ffn), statistics{tokens * 8};
  bench::Memory master = numbers(f32, slice, 0.02), m = numbers(f32, slice, 1e-3), gradient = numbers(f32, slice, 1e-3);
  bench::Memory v{slice * 4}, scratch{slice * 4};
  bench::Memory exported{slice * 2}, piece = numbers(b16, slice), piece2 = numbers(b16, slice);
  bench::Memory logits = numbers(b16, 64 * padded, 3), targets{64 * 4}, weights{64 * 4}, losses{64 * 4};
  bench::Memory table = numbers(b16, padded*channels), d_table{padded * channels * 2},
                places = numbers(b16, 1024 * channels);
  bench::Memory d_places{1024 * channels * 2}, ids{tokens * 4}, positions{tokens * 4},
      workspace{(padded + 1 + tokens) * 4};
  bench::Memory cosines = numbers(f32, 1024 * 32), sines = numbers(f32, 1024 * 32);
  ExactSum sum;
  std::vector<ConstView> pieces{piece.matrix(b16, 1, slice), piece2.matrix(b16, 1, slice)};

  Operands() {
    for (Elems n = 0; n < tokens; ++n) {
      ids.matrix(DType::i32, 1, tokens).as<std::int32_t>()[n] = static_cast<std::int32_t>(n * 7919 % vocabulary);
      positions.matrix(DType::i32, 1, tokens).as<std::int32_t>()[n] = static_cast<std::int32_t>(n % 1024);
    }
    for (Elems n = 0; n < 64; ++n) {
      targets.matrix(DType::i32, 1, 64).as<std::int32_t>()[n] = static_cast<std::int32_t>(n * 31);
      weights.matrix(f32, 1, 64).as<float>()[n] = 1;
    }
  }
};

std::vector<Case> norm_cases(Operands& o) {
  const auto mat = [](const bench::Memory& memory) { return memory.matrix(b16, tokens, channels); };
  const auto row = [](const bench::Memory& memory) { return memory.matrix(b16, 1, channels); };
  const View mean = o.statistics.matrix(f32, 1, tokens), inverse(mean.as<float>() + tokens, f32, tokens);
  const double matrix = 2.0 * tokens * channels;
  return {
      {"layer_norm forward", 2 * matrix,
       [=, &o] {
         layer_norm_forward({.x = mat(o.x),
                             .gain = row(o.gain),
                             .bias = row(o.shift),
                             .out = mat(o.out),
                             .mean = mean,
                             .inv_std = inverse});
       }},
      {"layer_norm backward", 4 * matrix,
       [=, &o] {
         layer_norm_backward({.x = mat(o.x),
                              .gain = row(o.gain),
                              .mean = mean,
                              .inv_std = inverse,
                              .d_out = mat(o.y),
                              .d_residual = mat(o.z),
                              .d_x = mat(o.out),
                              .d_gain = row(o.out2),
                              .d_bias = row(o.shift)});
       }},
      {"rms_norm forward", 2 * matrix,
       [=, &o] { rms_norm_forward({.x = mat(o.x), .gain = row(o.gain), .out = mat(o.out), .inv_rms = inverse}); }},
      {"rms_norm backward", 4 * matrix,
       [=, &o] {
         rms_norm_backward({.x = mat(o.x),
                            .gain = row(o.gain),
                            .inv_rms = inverse,
                            .d_out = mat(o.y),
                            .d_residual = mat(o.z),
                            .d_x = mat(o.out),
                            .d_gain = row(o.out2)});
       }},
      {"rope", 2 * matrix,
       [=, &o] {
         rope({.x = mat(o.out),
               .positions = o.positions.matrix(DType::i32, 1, tokens),
               .cosines = o.cosines.matrix(f32, 1024, 32),
               .sines = o.sines.matrix(f32, 1024, 32),
               .head_dim = 64});
       }},
  };
}

std::vector<Case> wide_cases(Operands& o) {
  const auto mat = [](const bench::Memory& memory) { return memory.matrix(b16, tokens, ffn); };
  const double matrix = 2.0 * tokens * ffn, chunk = 2.0 * 64 * padded;
  const auto loss = [&o](bool backward) {
    cross_entropy({.logits = o.logits.matrix(b16, 64, padded),
                   .vocabulary = vocabulary,
                   .targets = o.targets.matrix(DType::i32, 1, 64),
                   .weights = o.weights.matrix(f32, 1, 64),
                   .losses = o.losses.matrix(f32, 1, 64),
                   .backward = backward});
  };
  return {
      {"swiglu forward", 3 * matrix,
       [=, &o] { swiglu_forward({.gate = mat(o.x), .up = mat(o.y), .out = mat(o.out)}); }},
      {"swiglu backward", 5 * matrix,
       [=, &o] {
         swiglu_backward(
             {.gate = mat(o.x), .up = mat(o.y), .d_out = mat(o.z), .d_gate = mat(o.out), .d_up = mat(o.out2)});
       }},
      {"bias gradient", matrix, [=, &o] { bias_gradient({.d_out = mat(o.x), .d_bias = o.out2.matrix(b16, 1, ffn)}); }},
      {"cross_entropy forward", chunk, [=] { loss(false); }},
      // In place: later runs meet gradients for logits, which costs the same.
      {"cross_entropy both", 2 * chunk, [=] { loss(true); }},
  };
}

std::vector<Case> table_cases(Operands& o) {
  const View ids = o.ids.matrix(DType::i32, 1, tokens), positions = o.positions.matrix(DType::i32, 1, tokens);
  const double row = 2.0 * channels;
  return {
      {"embedding forward", 3 * tokens * row,
       [=, &o] {
         embedding_forward({.tokens = ids,
                            .positions = positions,
                            .token_table = o.table.matrix(b16, padded, channels),
                            .position_table = o.places.matrix(b16, 1024, channels),
                            .out = o.out.matrix(b16, tokens, channels)});
       }},
      {"embedding backward", (2 * tokens + padded + 1024) * row,
       [=, &o] {
         embedding_backward({.tokens = ids,
                             .positions = positions,
                             .d_out = o.x.matrix(b16, tokens, channels),
                             .d_token_table = o.d_table.matrix(b16, padded, channels),
                             .d_position_table = o.d_places.matrix(b16, 1024, channels),
                             .workspace = o.workspace.bytes()});
       }},
  };
}

std::vector<Case> slice_cases(Operands& o) {
  const auto run_of = [](const bench::Memory& memory, DType type) { return memory.matrix(type, 1, slice); };
  const double n = slice;
  return {
      {"memcpy", 8 * n,
       [=, &o] {
         std::memcpy(run_of(o.scratch, f32).data, run_of(o.m, f32).data, static_cast<std::size_t>(slice) * 4);
       }},
      {"copy_bytes", 8 * n, [=, &o] { copy_bytes(run_of(o.scratch, f32).data, run_of(o.m, f32).data, slice * 4); }},
      {"cast f32 to bf16", 6 * n, [=, &o] { cast({.in = run_of(o.master, f32), .out = run_of(o.exported, b16)}); }},
      {"cast bf16 to f32", 6 * n, [=, &o] { cast({.in = run_of(o.piece, b16), .out = run_of(o.scratch, f32)}); }},
      {"ordered_add of 2", 12 * n,
       [=, &o] { ordered_add({.accumulator = run_of(o.scratch, f32), .pieces = o.pieces}); }},
      {"square_sum", 4 * n, [=, &o] { square_sum({.x = run_of(o.gradient, f32), .sum = &o.sum}); }},
      {"adamw", 30 * n,
       [=, &o] {
         adamw({.master = run_of(o.master, f32),
                .m = run_of(o.m, f32),
                .v = run_of(o.v, f32),
                .gradient = run_of(o.gradient, f32),
                .exported = run_of(o.exported, b16),
                .learning_rate = 1e-4,
                .beta1 = 0.9,
                .beta2 = 0.95,
                .eps = 1e-8,
                .weight_decay = 0.1,
                .correction1 = 0.5,
                .correction2 = 0.5});
       }},
  };
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  const char* only = count > 2 ? arguments[2] : "";
  cpu::set_float_mode();
  cpu::set_kernel_threads(threads);
  Operands operands;
  const Bytes copied = tokens * channels * 2;
  const double in_cache =
      2.0 * static_cast<double>(copied) /
      bench::best_seconds(
          50,
          [&] { std::memcpy(operands.out.bytes().data, operands.x.bytes().data, static_cast<std::size_t>(copied)); },
          bench::thread_seconds);
  std::printf("memcpy of %.1f MB on one thread: %.1f GB/s\n", static_cast<double>(copied) / 1e6, in_cache / 1e9);
  for (auto cases : {norm_cases, wide_cases, table_cases, slice_cases})
    for (const Case& c : cases(operands)) {
      if (c.name.find(only) == std::string::npos) continue;
      const double rate =
          c.bytes / bench::best_seconds(15, c.run, threads == 1 ? bench::thread_seconds : bench::wall_seconds);
      std::printf("%-24s %8.1f GB/s  %5.2f of memcpy\n", c.name.c_str(), rate / 1e9, rate / in_cache);
    }
}
