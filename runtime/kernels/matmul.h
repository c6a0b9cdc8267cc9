#pragma once

#include "runtime/base/tensor_view.h"

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

/// Matrix product out = a b, with an epilogue. Every element is one chain over K of fused multiply-adds in f32:
/// f32 in order of k; bf16 by pairs, fma(a0, b0, fma(a1, b1, c)), which is what vdpbf16ps does (design 4.5). So the bits
/// depend on no blocking, no thread count and no instruction set. An odd K is padded by one zero.
///
/// Shapes  a [M,K], or [K,M] when a_transposed; b [K,N], or [N,K] when b_transposed; out [M,N]. Any row stride.
/// Types   a, b: bf16 or f32, the same; out, bias, residual and the gelu views: bf16 or f32 each.
/// Memory  workspace: matmul_workspace_bytes(), 64-byte aligned. out may be residual; no other overlap.
struct Matmul {
  ConstView a, b;
  bool a_transposed = false, b_transposed = false;
  View out;
  Epilogue epilogue;
  View workspace;
};
void matmul(const Matmul& k);

/// Workspace of one product on up to `threads` threads: the packed smaller operand, a packed block of the other for each
/// thread, and sums where K is split.
Bytes matmul_workspace_bytes(Elems m, Elems n, Elems k, DType type, int threads);

}  // namespace trireme
