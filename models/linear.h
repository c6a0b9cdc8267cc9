#pragma once
// A linear layer, y = x W^T, in the three products that training needs. Weights are [out, in].

#include <algorithm>

#include "runtime/kernels/matmul.h"

namespace trireme {

/// y[N,out] = x[N,in] w[out,in]^T, with an epilogue.
inline void linear_forward(ConstView x, ConstView w, View y, View workspace, const Epilogue& epilogue = {}) {
  matmul({.a = x, .b = w, .b_transposed = true, .out = y, .epilogue = epilogue, .workspace = workspace});
}

/// d_x[N,in] = d_y[N,out] w[out,in], with an epilogue.
inline void linear_backward_input(ConstView d_y, ConstView w, View d_x, View workspace, const Epilogue& epilogue = {}) {
  matmul({.a = d_y, .b = w, .out = d_x, .epilogue = epilogue, .workspace = workspace});
}

/// d_w[out,in] = d_y[N,out]^T x[N,in]: one chain over the tokens.
inline void linear_backward_weight(ConstView d_y, ConstView x, View d_w, View workspace, const Epilogue& epilogue = {}) {
  matmul({.a = d_y, .b = x, .a_transposed = true, .out = d_w, .epilogue = epilogue, .workspace = workspace});
}

/// Workspace that serves all three on N tokens.
inline Bytes linear_workspace_bytes(Elems tokens, Elems in, Elems out, DType type, int threads) {
  return std::max({matmul_workspace_bytes(tokens, out, in, type, threads),
                   matmul_workspace_bytes(tokens, in, out, type, threads),
                   matmul_workspace_bytes(out, in, tokens, type, threads)});
}

}  // namespace trireme
