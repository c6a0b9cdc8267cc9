#include "models/attention.h"

#include "models/linear.h"
#include "models/llama/llama.h"
#include "models/llama/saved.h"
#include "models/llama/units.h"
#include "runtime/kernels/bias.h"
#include "runtime/kernels/rope.h"

namespace trireme::llama {
namespace {

// q and k lie next to each other: one call turns the heads of both.
void rotate(const View& qkv, const Shapes& s, const Batch& batch, ConstView constants, RopeDirection direction) {
  const RotaryTables tables(constants, s);
  rope({.x = qkv.cols_from(0, (s.H + s.K) * s.D), .positions = batch.positions, .cosines = tables.cosines,
        .sines = tables.sines, .head_dim = s.D, .direction = direction});
}

}  // namespace

// normed = norm(x); qkv = normed Wqkv [+ b]; rotate q, k; mixed = attention(q, k, v); out = x + mixed Wo.
void attention_forward(const SegmentForward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C);
  AttentionSaved saved(Carve(op.saved), s, x.type);
  const UnitTensors& p = op.parameters;
  const BlockTensors t(*p.unit);
  const Linear linear{s.products};
  norm.forward(x, p[t.attention_norm_gain], {}, saved.normed, {.inverse = saved.inv_rms});
  linear.forward(saved.normed, p[t.qkv_weight], saved.qkv, op.workspace, {.bias = t.has_qkv_bias ? p[t.qkv_bias] : View()});
  rotate(saved.qkv, s, op.batch, op.constants, RopeDirection::forward);
  mix_forward(s, saved, op.batch, op.workspace);
  if (!op.out.empty())
    linear.forward(saved.mixed, p[t.attention_out_weight], op.out.reshape(s.N, s.C), op.workspace, {.residual = x});
}

void attention_backward(const SegmentBackward& op, const Shapes& s, const Norm& norm) {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const AttentionSaved saved(Carve(op.saved), s, x.type);
  const Bytes fixed = AttentionScratch({}, s, x.type, 0).bytes;
  AttentionScratch scratch(Carve(op.workspace), s, x.type, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const BlockTensors t(*p.unit);
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.mixed, g[t.attention_out_weight], scratch.kernels);
  linear.backward_input(d_out, p[t.attention_out_weight], scratch.d_mixed, scratch.kernels);

  mix_backward(s, saved, op.batch, scratch);
  rotate(scratch.d_qkv, s, op.batch, op.constants, RopeDirection::backward);

  linear.backward_weight(scratch.d_qkv, saved.normed, g[t.qkv_weight], scratch.kernels);
  if (t.has_qkv_bias) bias_gradient({.d_out = scratch.d_qkv, .d_bias = g[t.qkv_bias]});
  linear.backward_input(scratch.d_qkv, p[t.qkv_weight], scratch.d_normed, scratch.kernels);
  norm.backward({.x = x, .gain = p[t.attention_norm_gain], .statistics = {.inverse = saved.inv_rms}, .d_out = scratch.d_normed,
                 .d_residual = d_out, .d_x = op.d_x.reshape(s.N, s.C), .d_gain = g[t.attention_norm_gain]});
}

}  // namespace trireme::llama
