#pragma once
// Scratch of the attention kernels for one microbatch of a model.

#include "models/describe.h"
#include "models/shapes.h"
#include "runtime/kernels/attention.h"

namespace trireme {

inline AttentionShape attention_shape(const Shapes& s, const MicrobatchShape& shape) {
  return {.batch = static_cast<int>(s.B), .heads = static_cast<int>(s.H), .kv_heads = static_cast<int>(s.K),
          .tokens = s.T, .head_dim = s.D, .type = shape.compute};
}
inline Bytes attention_forward_bytes(const Shapes& s, const MicrobatchShape& shape) {
  return attention_forward_workspace_bytes(attention_shape(s, shape), shape.threads);
}
inline Bytes attention_backward_bytes(const Shapes& s, const MicrobatchShape& shape) {
  return attention_backward_workspace_bytes(attention_shape(s, shape), shape.threads);
}

}  // namespace trireme
