#pragma once
// What an epilogue does, as a number that templates can be chosen by.

#include "runtime/kernels/matmul.h"

namespace trireme::cpu {

enum EpilogueWork : int { adds_bias = 1, adds_residual = 2, takes_gelu = 4, times_slope = 8 };

inline int work_of(const Epilogue& e) {
  return (e.bias.empty() ? 0 : adds_bias) | (e.residual.empty() ? 0 : adds_residual) |
         (e.gelu_pre.empty() ? 0 : takes_gelu) | (e.gelu_backward_pre.empty() ? 0 : times_slope);
}

/// Whether every view of the epilogue is of `type`.
inline bool has_one_type(const Epilogue& e, DType type) {
  for (const ConstView& view : {e.bias, e.residual, ConstView(e.gelu_pre), e.gelu_backward_pre})
    if (!view.empty() && view.type != type) return false;
  return true;
}

}  // namespace trireme::cpu
