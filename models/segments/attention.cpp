#include "models/segments/attention.h"

#include <algorithm>
#include <cmath>

#include "models/segments/linear.h"
#include "models/segments/tensor_specs.h"
#include "runtime/kernels/attention.h"
#include "runtime/kernels/bias.h"

namespace trireme {
namespace {

AttentionShape kernel_shape(const Shapes& s, DType type) {
  return {.batch = static_cast<int>(s.B),
          .heads = static_cast<int>(s.H),
          .kv_heads = static_cast<int>(s.K),
          .tokens = s.T,
          .head_dim = s.D,
          .type = type};
}

float scale(const Shapes& s) { return 1.0f / std::sqrt(static_cast<float>(s.D)); }

View q_of(const View& qk, const Shapes& s) { return qk.cols_from(0, s.H * s.D); }
View k_of(const View& qk, const Shapes& s) { return qk.cols_from(s.H * s.D, s.K * s.D); }
View v_of(const View& qkv, const Shapes& s) { return qkv.cols_from((s.H + s.K) * s.D, s.K * s.D); }
// q and k lie next to each other: one call turns the heads of both.
View qk_of(const View& qkv, const Shapes& s) { return qkv.cols_from(0, (s.H + s.K) * s.D); }

}  // namespace

/// What backward needs of forward.
struct AttentionSegment::Saved {
  View normed;                // [N,C]
  NormStatistics statistics;  // f32 [N]
  View qkv;                   // [N,(H+2K)D] as projected; without norms of heads q and k are turned here
  View mixed;                 // [N,HD] output of attention
  View log_sum_exp;           // f32 [B*H,T]
  View qk;                    // [N,(H+K)D] what attention sees: in `qkv`, or behind the norms of heads
  View q_inverse, k_inverse;  // f32 [N*H], [N*K] of those norms
  Bytes bytes;

  Saved(Carve carve, const Shapes& s, DType type, const AttentionForm& form)
      : normed(carve.take(type, s.N, s.C)),
        statistics(form.norm.take_statistics(carve, s.N)),
        qkv(carve.take(type, s.N, s.qkv())),
        mixed(carve.take(type, s.N, s.H * s.D)),
        log_sum_exp(carve.take(DType::f32, s.B * s.H, s.T)),
        qk(form.head_norms ? carve.take(type, s.N, (s.H + s.K) * s.D) : qk_of(qkv, s)) {
    if (form.head_norms)
      q_inverse = carve.take(DType::f32, 1, s.N * s.H), k_inverse = carve.take(DType::f32, 1, s.N * s.K);
    bytes = carve.used_bytes();
  }
};

/// Of backward.
struct AttentionSegment::Scratch {
  View d_mixed;   // [N,HD]
  View d_normed;  // [N,C], over d_mixed: not alive together
  View d_qkv;     // [N,(H+2K)D]
  View d_qk;      // [N,(H+K)D], as Saved's qk
  View kernels;   // bytes
  Bytes bytes;

  Scratch(Carve carve, const Shapes& s, DType type, const AttentionForm& form, Bytes kernel_bytes)
      : d_mixed(carve.take(type, s.N, std::max(s.C, s.H * s.D))),
        d_normed(d_mixed.data, type, s.N, s.C),
        d_qkv(carve.take(type, s.N, s.qkv())),
        d_qk(form.head_norms ? carve.take(type, s.N, (s.H + s.K) * s.D) : qk_of(d_qkv, s)),
        kernels(carve.take_bytes(kernel_bytes)),
        bytes(carve.used_bytes()) {
    d_mixed = View(d_mixed.data, type, s.N, s.H * s.D);
  }
};

AttentionSegment::AttentionSegment(const AttentionForm& form) : form_(form) {
  TensorNumbers numbers;
  norm_gain_ = numbers.next(), norm_bias_ = numbers.next(form.norm.has_bias());
  qkv_weight_ = numbers.next(), qkv_bias_ = numbers.next(form.qkv_bias);
  q_gain_ = numbers.next(form.head_norms), k_gain_ = numbers.next(form.head_norms);
  out_weight_ = numbers.next(), out_bias_ = numbers.next(form.out_bias);
}

std::vector<TensorSpec> AttentionSegment::tensors(const std::string& block, const Shapes& s) const {
  const std::string p = block + "attention.";
  TensorList list;
  list.add(norm_gain_, vector(p + "norm.weight", s.C, 1));
  list.add(norm_bias_, vector(p + "norm.bias", s.C, 0));
  list.add(qkv_weight_, matrix(p + "qkv.weight", s.qkv(), s.C));
  list.add(qkv_bias_, vector(p + "qkv.bias", s.qkv(), 0));
  list.add(q_gain_, vector(p + "q_norm.weight", s.D, 1));
  list.add(k_gain_, vector(p + "k_norm.weight", s.D, 1));
  list.add(out_weight_, matrix(p + "out.weight", s.C, s.H * s.D, out_deviation(s)));
  list.add(out_bias_, vector(p + "out.bias", s.C, 0));
  return list.take();
}

SegmentSpec AttentionSegment::describe(const Shapes& s, const MicrobatchShape& shape) const {
  const DType type = shape.compute;
  const Linear layer{s.products};
  const Bytes linear = std::max(layer.workspace_bytes(s.N, s.C, s.qkv(), type, shape.threads),
                                layer.workspace_bytes(s.N, s.H * s.D, s.C, type, shape.threads));
  const AttentionShape kernel = kernel_shape(s, type);
  const Bytes backward = std::max(linear, attention_backward_workspace_bytes(kernel, shape.threads));
  // Model flops: projections, and mixing at T^2/2.
  const Elems mixed = s.H * s.D;
  const auto projections = static_cast<double>(s.N) * static_cast<double>(s.C * (s.qkv() + mixed));
  const auto mixing = static_cast<double>(s.N) * static_cast<double>(s.T) / 2 * static_cast<double>(2 * mixed);
  const double flops = 2 * (projections + mixing);
  return {.kind = SegmentKind::attention,
          .saved_bytes = Saved({}, s, type, form_).bytes,
          .forward_workspace_bytes = std::max(linear, attention_forward_workspace_bytes(kernel, shape.threads)),
          .backward_workspace_bytes = Scratch({}, s, type, form_, backward).bytes,
          .forward_flops = flops,
          .backward_flops = 2 * flops};
}

Bytes AttentionSegment::constants_bytes(const Shapes& s) const { return form_.rotary ? Rotary::table_bytes(s) : 0; }

void AttentionSegment::fill_constants(View constants, const Shapes& s) const {
  if (form_.rotary) form_.rotary->fill_tables(constants, s);
}

// normed = norm(x); qkv = normed Wqkv [+ b]; [q, k = norm of each head]; [turn q, k]; mixed = attention(q, k, v);
// out = x + mixed Wo [+ b].
void AttentionSegment::forward(const SegmentForward& op, const Shapes& s) const {
  const ConstView x = op.x.reshape(s.N, s.C);
  const Saved saved(Carve(op.saved), s, x.type, form_);
  const UnitTensors& p = op.parameters;
  const Linear linear{s.products};
  form_.norm.forward(x, p[norm_gain_], p[norm_bias_], saved.normed, saved.statistics);
  linear.forward(saved.normed, p[qkv_weight_], saved.qkv, op.workspace, {.bias = p[qkv_bias_]});
  if (form_.head_norms) norm_heads(p, saved, s);
  if (form_.rotary) Rotary::turn(saved.qk, op.batch, op.constants, s, RopeDirection::forward);
  mix(saved, op.batch, op.workspace, s);
  if (!op.out.empty())
    linear.forward(saved.mixed, p[out_weight_], op.out.reshape(s.N, s.C), op.workspace,
                   {.bias = p[out_bias_], .residual = x});
}

void AttentionSegment::norm_heads(const UnitTensors& p, const Saved& saved, const Shapes& s) const {
  const float eps = form_.norm.eps();
  rms_norm_forward(
      {.x = q_of(saved.qkv, s), .gain = p[q_gain_], .out = q_of(saved.qk, s), .inv_rms = saved.q_inverse, .eps = eps});
  rms_norm_forward(
      {.x = k_of(saved.qkv, s), .gain = p[k_gain_], .out = k_of(saved.qk, s), .inv_rms = saved.k_inverse, .eps = eps});
}

void AttentionSegment::mix(const Saved& saved, const Batch& batch, const View& workspace, const Shapes& s) const {
  attention_forward({.q = q_of(saved.qk, s),
                     .k = k_of(saved.qk, s),
                     .v = v_of(saved.qkv, s),
                     .out = saved.mixed,
                     .log_sum_exp = saved.log_sum_exp,
                     .document_starts = batch.document_starts,
                     .batch = static_cast<int>(s.B),
                     .heads = static_cast<int>(s.H),
                     .kv_heads = static_cast<int>(s.K),
                     .scale = scale(s),
                     .workspace = workspace,
                     .order = s.products});
}

void AttentionSegment::backward(const SegmentBackward& op, const Shapes& s) const {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const Saved saved(Carve(op.saved), s, x.type, form_);
  const Bytes fixed = Scratch({}, s, x.type, form_, 0).bytes;
  const Scratch scratch(Carve(op.workspace), s, x.type, form_, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.mixed, g[out_weight_], scratch.kernels);
  if (form_.out_bias) bias_gradient({.d_out = d_out, .d_bias = g[out_bias_]});
  linear.backward_input(d_out, p[out_weight_], scratch.d_mixed, scratch.kernels);

  mix_backward(op, saved, scratch, s);

  linear.backward_weight(scratch.d_qkv, saved.normed, g[qkv_weight_], scratch.kernels);
  if (form_.qkv_bias) bias_gradient({.d_out = scratch.d_qkv, .d_bias = g[qkv_bias_]});
  linear.backward_input(scratch.d_qkv, p[qkv_weight_], scratch.d_normed, scratch.kernels);
  form_.norm.backward({.x = x,
                       .gain = p[norm_gain_],
                       .statistics = saved.statistics,
                       .d_out = scratch.d_normed,
                       .d_residual = d_out,
                       .d_x = op.d_x.reshape(s.N, s.C),
                       .d_gain = g[norm_gain_],
                       .d_bias = g[norm_bias_]});
}

// From d_mixed to d_qkv.
void AttentionSegment::mix_backward(const SegmentBackward& op, const Saved& saved, const Scratch& scratch,
                                    const Shapes& s) const {
  attention_backward({.q = q_of(saved.qk, s),
                      .k = k_of(saved.qk, s),
                      .v = v_of(saved.qkv, s),
                      .out = saved.mixed,
                      .d_out = scratch.d_mixed,
                      .log_sum_exp = saved.log_sum_exp,
                      .dq = q_of(scratch.d_qk, s),
                      .dk = k_of(scratch.d_qk, s),
                      .dv = v_of(scratch.d_qkv, s),
                      .document_starts = op.batch.document_starts,
                      .batch = static_cast<int>(s.B),
                      .heads = static_cast<int>(s.H),
                      .kv_heads = static_cast<int>(s.K),
                      .scale = scale(s),
                      .workspace = scratch.kernels,
                      .order = s.products});
  if (form_.rotary) Rotary::turn(scratch.d_qk, op.batch, op.constants, s, RopeDirection::backward);
  if (!form_.head_norms) return;
  rms_norm_backward({.x = q_of(saved.qkv, s),
                     .gain = op.parameters[q_gain_],
                     .inv_rms = saved.q_inverse,
                     .d_out = q_of(scratch.d_qk, s),
                     .d_x = q_of(scratch.d_qkv, s),
                     .d_gain = op.gradients[q_gain_]});
  rms_norm_backward({.x = k_of(saved.qkv, s),
                     .gain = op.parameters[k_gain_],
                     .inv_rms = saved.k_inverse,
                     .d_out = k_of(scratch.d_qk, s),
                     .d_x = k_of(scratch.d_qkv, s),
                     .d_gain = op.gradients[k_gain_]});
}

}  // namespace trireme
