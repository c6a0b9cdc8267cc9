#include "models/attention.h"

#include "models/gpt/gpt.h"
#include "models/gpt/saved.h"
#include "models/gpt/units.h"
#include "models/linear.h"
#include "runtime/kernels/bias.h"

namespace trireme::gpt {

// normed = norm(x); qkv = normed Wqkv + b; mixed = attention(q, k, v); out = x + mixed Wo + b.
void attention_forward(const SegmentForward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C);
  AttentionSaved saved(Carve(op.saved), s, x.type);
  const UnitTensors& p = op.parameters;
  const Linear linear{s.products};
  norm.forward(x, p[attention_norm_gain], p[attention_norm_bias], saved.normed, {saved.mean, saved.inv_std});
  linear.forward(saved.normed, p[qkv_weight], saved.qkv, op.workspace, {.bias = p[qkv_bias]});
  mix_forward(s, saved, op.batch, op.workspace);
  if (!op.out.empty())
    linear.forward(saved.mixed, p[attention_out_weight], op.out.reshape(s.N, s.C), op.workspace,
                   {.bias = p[attention_out_bias], .residual = x});
}

void attention_backward(const SegmentBackward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const AttentionSaved saved(Carve(op.saved), s, x.type);
  const Bytes fixed = AttentionScratch({}, s, x.type, 0).bytes;
  AttentionScratch scratch(Carve(op.workspace), s, x.type, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.mixed, g[attention_out_weight], scratch.kernels);
  bias_gradient({.d_out = d_out, .d_bias = g[attention_out_bias]});
  linear.backward_input(d_out, p[attention_out_weight], scratch.d_mixed, scratch.kernels);

  mix_backward(s, saved, op.batch, scratch);

  linear.backward_weight(scratch.d_qkv, saved.normed, g[qkv_weight], scratch.kernels);
  bias_gradient({.d_out = scratch.d_qkv, .d_bias = g[qkv_bias]});
  linear.backward_input(scratch.d_qkv, p[qkv_weight], scratch.d_normed, scratch.kernels);
  norm.backward({.x = x, .gain = p[attention_norm_gain], .statistics = {saved.mean, saved.inv_std}, .d_out = scratch.d_normed,
                 .d_residual = d_out, .d_x = op.d_x.reshape(s.N, s.C), .d_gain = g[attention_norm_gain],
                 .d_bias = g[attention_norm_bias]});
}

}  // namespace trireme::gpt
