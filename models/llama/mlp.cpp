#include "models/linear.h"
#include "models/llama/llama.h"
#include "models/llama/saved.h"
#include "models/llama/units.h"
#include "runtime/kernels/swiglu.h"

namespace trireme::llama {

// normed = norm(x); gate, up = normed W; activated = silu(gate) * up; out = x + activated Wdown.
void mlp_forward(const SegmentForward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C);
  MlpSaved saved(Carve(op.saved), s, x.type);
  const UnitTensors& p = op.parameters;
  const BlockTensors t(*p.unit);
  const Linear linear{s.products};
  norm.forward(x, p[t.mlp_norm_gain], {}, saved.normed, {.inverse = saved.inv_rms});
  linear.forward(saved.normed, p[t.gate_up_weight], saved.gate_up, op.workspace);
  swiglu_forward({.gate = saved.gate_up.cols_from(0, s.F), .up = saved.gate_up.cols_from(s.F, s.F),
                  .out = saved.activated});
  if (!op.out.empty())
    linear.forward(saved.activated, p[t.down_weight], op.out.reshape(s.N, s.C), op.workspace, {.residual = x});
}

void mlp_backward(const SegmentBackward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const MlpSaved saved(Carve(op.saved), s, x.type);
  const Bytes fixed = MlpScratch({}, s, x.type, 0).bytes;
  MlpScratch scratch(Carve(op.workspace), s, x.type, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const BlockTensors t(*p.unit);
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.activated, g[t.down_weight], scratch.kernels);
  linear.backward_input(d_out, p[t.down_weight], scratch.d_activated, scratch.kernels);
  swiglu_backward({.gate = saved.gate_up.cols_from(0, s.F), .up = saved.gate_up.cols_from(s.F, s.F),
                   .d_out = scratch.d_activated, .d_gate = scratch.d_gate_up.cols_from(0, s.F),
                   .d_up = scratch.d_gate_up.cols_from(s.F, s.F)});

  linear.backward_weight(scratch.d_gate_up, saved.normed, g[t.gate_up_weight], scratch.kernels);
  linear.backward_input(scratch.d_gate_up, p[t.gate_up_weight], scratch.d_normed, scratch.kernels);
  norm.backward({.x = x, .gain = p[t.mlp_norm_gain], .statistics = {.inverse = saved.inv_rms}, .d_out = scratch.d_normed,
                 .d_residual = d_out, .d_x = op.d_x.reshape(s.N, s.C), .d_gain = g[t.mlp_norm_gain]});
}

}  // namespace trireme::llama
