#include "models/gpt/gpt.h"
#include "models/gpt/saved.h"
#include "models/gpt/units.h"
#include "models/linear.h"
#include "runtime/kernels/bias.h"

namespace trireme::gpt {

// normed = norm(x); pre = normed Wup + b; activated = gelu(pre); out = x + activated Wdown + b.
void mlp_forward(const SegmentForward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C);
  MlpSaved saved(Carve(op.saved), s, x.type);
  const UnitTensors& p = op.parameters;
  const Linear linear{s.products};
  norm.forward(x, p[mlp_norm_gain], p[mlp_norm_bias], saved.normed, {saved.mean, saved.inv_std});
  linear.forward(saved.normed, p[up_weight], saved.activated, op.workspace,
                 {.bias = p[up_bias], .gelu_pre = saved.pre});
  if (!op.out.empty())
    linear.forward(saved.activated, p[down_weight], op.out.reshape(s.N, s.C), op.workspace,
                   {.bias = p[down_bias], .residual = x});
}

void mlp_backward(const SegmentBackward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const MlpSaved saved(Carve(op.saved), s, x.type);
  const Bytes fixed = MlpScratch({}, s, x.type, 0).bytes;
  MlpScratch scratch(Carve(op.workspace), s, x.type, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.activated, g[down_weight], scratch.kernels);
  bias_gradient({.d_out = d_out, .d_bias = g[down_bias]});
  linear.backward_input(d_out, p[down_weight], scratch.d_pre, scratch.kernels, {.gelu_backward_pre = saved.pre});

  linear.backward_weight(scratch.d_pre, saved.normed, g[up_weight], scratch.kernels);
  bias_gradient({.d_out = scratch.d_pre, .d_bias = g[up_bias]});
  linear.backward_input(scratch.d_pre, p[up_weight], scratch.d_normed, scratch.kernels);
  norm.backward({.x = x, .gain = p[mlp_norm_gain], .statistics = {saved.mean, saved.inv_std}, .d_out = scratch.d_normed,
                 .d_residual = d_out, .d_x = op.d_x.reshape(s.N, s.C), .d_gain = g[mlp_norm_gain],
                 .d_bias = g[mlp_norm_bias]});
}

}  // namespace trireme::gpt
