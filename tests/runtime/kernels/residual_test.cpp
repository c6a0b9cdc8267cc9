// Residual and bias are added between a product's sums and their storage. Products of small integers are exact, so the
// result is known to the bit: ((product + bias) + residual), each sum rounded to f32, then to the storage type.
#include <catch2/catch.hpp>

#include "runtime/kernels/matmul.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

void check(DType type, Elems rows, Elems cols, bool in_place) {
  const Elems depth = 5;
  GuardedTensor a(type, rows, depth, 1), b(type, depth, cols, 2), bias(type, cols), residual(type, rows, cols, 3);
  for (Elems i = 0; i < rows * depth; ++i) a.set(i, static_cast<double>(i * 7 % 11 - 5));
  for (Elems i = 0; i < depth * cols; ++i) b.set(i, static_cast<double>(i * 5 % 13 - 6));
  bias.randomize(1), residual.randomize(2);
  GuardedTensor out = in_place ? residual : GuardedTensor(type, rows, cols, 3);
  const Bytes bytes = matmul_workspace_bytes(rows, cols, depth, type, 4);
  GuardedTensor scratch(DType::i32, bytes / 4 + 16);
  void* aligned = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(scratch.view().data) + 63) / 64 * 64);
  run_every_way({&out}, [&] {
    matmul({.a = a,
            .b = b,
            .out = out,
            .epilogue = {.bias = bias, .residual = in_place ? ConstView(out) : residual},
            .workspace = {aligned, DType::byte, bytes}});
  });
  GuardedTensor expected(type, rows, cols, 3);
  for (Elems row = 0; row < rows; ++row)
    for (Elems col = 0; col < cols; ++col) {
      float value = 0;
      for (Elems k = 0; k < depth; ++k) value += static_cast<float>(a.at(row, k) * b.at(k, col));
      value += static_cast<float>(bias.at(col));
      value += static_cast<float>(residual.at(row, col));
      expected.set(row, col, value);
    }
  CHECK(out.bytes() == expected.bytes());
}

}  // namespace

TEST_CASE("residual: bias, then residual, added in f32 and rounded once, bit for bit everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (bool in_place : {false, true})
      for (Elems rows : {1, 7, 61})
        for (Elems cols : {1, 2, 7, 15, 16, 17, 33, 64, 90, 384, 769}) check(type, rows, cols, in_place);
}

}  // namespace trireme
