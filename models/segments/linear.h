#pragma once
// A linear layer, y = x W^T, in the three products that training needs. Weights are [out, in].

#include <algorithm>

#include "runtime/kernels/matmul.h"

namespace trireme {

/// The products of linear layers, in the run's order of sums.
struct Linear {
  ProductOrder order = ProductOrder::chain;

  /// y[N,out] = x[N,in] w[out,in]^T, with an epilogue.
  void forward(ConstView x, ConstView w, View y, View workspace, const Epilogue& epilogue = {}) const {
    matmul(
        {.a = x, .b = w, .b_transposed = true, .out = y, .epilogue = epilogue, .workspace = workspace, .order = order});
  }

  /// d_x[N,in] = d_y[N,out] w[out,in], with an epilogue.
  void backward_input(ConstView d_y, ConstView w, View d_x, View workspace, const Epilogue& epilogue = {}) const {
    matmul({.a = d_y, .b = w, .out = d_x, .epilogue = epilogue, .workspace = workspace, .order = order});
  }

  /// d_w[out,in] = d_y[N,out]^T x[N,in]: one sum over the tokens, in token order. Nothing where d_w is empty (frozen).
  void backward_weight(ConstView d_y, ConstView x, View d_w, View workspace, const Epilogue& epilogue = {}) const {
    if (d_w.empty()) return;
    matmul({.a = d_y,
            .b = x,
            .a_transposed = true,
            .out = d_w,
            .epilogue = epilogue,
            .workspace = workspace,
            .order = order});
  }

  /// Workspace that serves all three on N tokens.
  Bytes workspace_bytes(Elems tokens, Elems in, Elems out, DType type, int threads) const {
    return std::max({matmul_workspace_bytes(tokens, out, in, type, threads, order),
                     matmul_workspace_bytes(tokens, in, out, type, threads, order),
                     matmul_workspace_bytes(out, in, tokens, type, threads, order)});
  }
};

}  // namespace trireme
