#pragma once
// RoPE of a block's queries and keys, and its tables in the constants buffer.

#include "models/batch.h"
#include "models/segments/carve.h"
#include "models/shapes.h"
#include "runtime/kernels/rope.h"

namespace trireme {

struct Rotary {
  float theta = 10000;
  RopeScaling scaling;

  static Bytes table_bytes(const Shapes& s) { return Tables({}, s).bytes; }
  void fill_tables(View constants, const Shapes& s) const {
    const Tables tables(Carve(constants), s);
    rope_table({.cosines = tables.cosines, .sines = tables.sines, .head_dim = s.D, .theta = theta, .scaling = scaling});
  }
  /// `heads` [N, any number of heads * D], in place.
  static void turn(View heads, const Batch& batch, ConstView constants, const Shapes& s, RopeDirection direction) {
    const Tables tables(Carve(constants), s);
    rope({.x = heads,
          .positions = batch.positions,
          .cosines = tables.cosines,
          .sines = tables.sines,
          .head_dim = s.D,
          .direction = direction});
  }

 private:
  struct Tables {
    View cosines, sines;  // f32 [T,D/2]
    Bytes bytes;
    Tables(Carve carve, const Shapes& s)
        : cosines(carve.take(DType::f32, s.T, s.D / 2)),
          sines(carve.take(DType::f32, s.T, s.D / 2)),
          bytes(carve.used_bytes()) {}
  };
};

}  // namespace trireme
