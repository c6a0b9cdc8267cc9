#pragma once
// What a GPT-2 segment keeps for its backward, and its scratch, as tensors cut from planned buffers.

#include "models/carve.h"
#include "models/shapes.h"

namespace trireme::gpt {

struct AttentionSaved {
  View normed;            // [N,C]
  View mean, inv_std;     // f32 [N]
  View qkv;               // [N,3C]
  View mixed;             // [N,C] output of attention
  View log_sum_exp;       // f32 [B*H,T]

  AttentionSaved(Carve carve, const Shapes& s, DType type)
      : normed(carve.take(type, s.N, s.C)), mean(carve.take(DType::f32, 1, s.N)), inv_std(carve.take(DType::f32, 1, s.N)),
        qkv(carve.take(type, s.N, s.qkv())), mixed(carve.take(type, s.N, s.C)),
        log_sum_exp(carve.take(DType::f32, s.B * s.H, s.T)), bytes(carve.used_bytes()) {}
  Bytes bytes;
};

struct MlpSaved {
  View normed;          // [N,C]
  View mean, inv_std;   // f32 [N]
  View pre, activated;  // [N,F] before and after GELU

  MlpSaved(Carve carve, const Shapes& s, DType type)
      : normed(carve.take(type, s.N, s.C)), mean(carve.take(DType::f32, 1, s.N)), inv_std(carve.take(DType::f32, 1, s.N)),
        pre(carve.take(type, s.N, s.F)), activated(carve.take(type, s.N, s.F)), bytes(carve.used_bytes()) {}
  Bytes bytes;
};

/// Scratch of the mlp's backward.
struct MlpScratch {
  View d_pre;     // [N,F]
  View d_normed;  // [N,C]
  View kernels;   // bytes

  MlpScratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : d_pre(carve.take(type, s.N, s.F)), d_normed(carve.take(type, s.N, s.C)), kernels(carve.take_bytes(kernel_bytes)),
        bytes(carve.used_bytes()) {}
  Bytes bytes;
};

}  // namespace trireme::gpt
