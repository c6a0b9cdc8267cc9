#pragma once
// What a Llama segment keeps for its backward, and its scratch, as tensors cut from planned buffers.

#include "models/carve.h"
#include "models/shapes.h"

namespace trireme::llama {

struct AttentionSaved {
  View normed;       // [N,C]
  View inv_rms;      // f32 [N]
  View qkv;          // [N,(H+2K)D], rotated
  View mixed;        // [N,C] output of attention
  View log_sum_exp;  // f32 [B*H,T]

  AttentionSaved(Carve carve, const Shapes& s, DType type)
      : normed(carve.take(type, s.N, s.C)), inv_rms(carve.take(DType::f32, 1, s.N)), qkv(carve.take(type, s.N, s.qkv())),
        mixed(carve.take(type, s.N, s.C)), log_sum_exp(carve.take(DType::f32, s.B * s.H, s.T)),
        bytes(carve.used_bytes()) {}
  Bytes bytes;
};

struct MlpSaved {
  View normed;     // [N,C]
  View inv_rms;    // f32 [N]
  View gate_up;    // [N,2F]
  View activated;  // [N,F] silu(gate) * up

  MlpSaved(Carve carve, const Shapes& s, DType type)
      : normed(carve.take(type, s.N, s.C)), inv_rms(carve.take(DType::f32, 1, s.N)),
        gate_up(carve.take(type, s.N, 2 * s.F)), activated(carve.take(type, s.N, s.F)), bytes(carve.used_bytes()) {}
  Bytes bytes;
};

/// Scratch of the mlp's backward.
struct MlpScratch {
  View d_activated;  // [N,F]
  View d_gate_up;    // [N,2F]
  View d_normed;     // [N,C]
  View kernels;      // bytes

  MlpScratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : d_activated(carve.take(type, s.N, s.F)), d_gate_up(carve.take(type, s.N, 2 * s.F)),
        d_normed(carve.take(type, s.N, s.C)), kernels(carve.take_bytes(kernel_bytes)), bytes(carve.used_bytes()) {}
  Bytes bytes;
};

}  // namespace trireme::llama
