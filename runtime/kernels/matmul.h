#pragma once

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/product_order.h"

namespace trireme {

/// What happens to an element between its sum and its storage. Views are [M,N] but for bias [N]; empty: not done.
/// A value that is stored is rounded to its storage type before any further use.
struct Epilogue {
  ConstView bias;               // added first
  ConstView residual;           // added next
  View gelu_pre;                // takes the value so far; out becomes gelu of it (tanh form)
  ConstView gelu_backward_pre;  // the value is multiplied by gelu' of this
  bool accumulate = false;      // the chain starts from what out holds, f32, instead of zero
};

/// Matrix product out = a b, with an epilogue. Every element is one sum over K in f32, in an order that is written
/// down: f32 is a chain of fused multiply-adds in order of k; bf16 goes by `order` (product_order.h). So the bits
/// depend on no blocking, no thread count and no instruction set. With `accumulate` a later call goes on where an
/// earlier one stopped; its blocks are counted from its own first k. An odd K is padded by one zero.
///
/// Shapes  a [M,K], or [K,M] when a_transposed; b [K,N], or [N,K] when b_transposed; out [M,N]; none is 0. Any row
/// stride. Types   a, b: bf16 or f32, the same; f32 only in chain order. out, bias, residual and gelu_backward_pre:
/// bf16 or f32
///         each; gelu_pre: as out.
/// Memory  workspace: matmul_workspace_bytes(), 64-byte aligned. out may be residual; no other overlap.
struct Matmul {
  ConstView a, b;
  bool a_transposed = false, b_transposed = false;
  View out;
  Epilogue epilogue;
  View workspace;
  ProductOrder order = ProductOrder::chain;
};
void matmul(const Matmul& k);

/// Workspace of one product on up to `threads` threads, on any instruction set and with any transposes: packed
/// operands, and sums where K is split.
Bytes matmul_workspace_bytes(Elems m, Elems n, Elems k, DType type, int threads,
                             ProductOrder order = ProductOrder::chain);

}  // namespace trireme
