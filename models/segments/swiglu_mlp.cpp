#include "models/segments/swiglu_mlp.h"

#include <algorithm>

#include "models/segments/linear.h"
#include "models/segments/tensor_specs.h"
#include "runtime/kernels/swiglu.h"

namespace trireme {
namespace {

View gate_of(const View& gate_up, const Shapes& s) { return gate_up.cols_from(0, s.F); }
View up_of(const View& gate_up, const Shapes& s) { return gate_up.cols_from(s.F, s.F); }

/// What backward needs of forward.
struct Saved {
  View normed;                // [N,C]
  NormStatistics statistics;  // f32 [N]
  View gate_up;               // [N,2F]
  View activated;             // [N,F] silu(gate) * up
  Bytes bytes;

  Saved(Carve carve, const Shapes& s, DType type, const Norm& norm)
      : normed(carve.take(type, s.N, s.C)),
        statistics(norm.take_statistics(carve, s.N)),
        gate_up(carve.take(type, s.N, 2 * s.F)),
        activated(carve.take(type, s.N, s.F)),
        bytes(carve.used_bytes()) {}
};

/// Of backward.
struct Scratch {
  View d_activated;  // [N,F]
  View d_gate_up;    // [N,2F]
  View d_normed;     // [N,C]
  View kernels;      // bytes
  Bytes bytes;

  Scratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : d_activated(carve.take(type, s.N, s.F)),
        d_gate_up(carve.take(type, s.N, 2 * s.F)),
        d_normed(carve.take(type, s.N, s.C)),
        kernels(carve.take_bytes(kernel_bytes)),
        bytes(carve.used_bytes()) {}
};

}  // namespace

SwigluMlpSegment::SwigluMlpSegment(const Norm& norm) : norm_(norm) {
  TensorNumbers numbers;
  norm_gain_ = numbers.next(), norm_bias_ = numbers.next(norm.has_bias());
  gate_up_weight_ = numbers.next(), down_weight_ = numbers.next();
}

std::vector<TensorSpec> SwigluMlpSegment::tensors(const std::string& block, const Shapes& s) const {
  const std::string p = block + "mlp.";
  TensorList list;
  list.add(norm_gain_, vector(p + "norm.weight", s.C, 1));
  list.add(norm_bias_, vector(p + "norm.bias", s.C, 0));
  list.add(gate_up_weight_, matrix(p + "gate_up.weight", 2 * s.F, s.C));
  list.add(down_weight_, matrix(p + "down.weight", s.C, s.F, out_deviation(s)));
  return list.take();
}

SegmentSpec SwigluMlpSegment::describe(const Shapes& s, const MicrobatchShape& shape) const {
  const DType type = shape.compute;
  const Linear layer{s.products};
  const Bytes linear = std::max(layer.workspace_bytes(s.N, s.C, 2 * s.F, type, shape.threads),
                                layer.workspace_bytes(s.N, s.F, s.C, type, shape.threads));
  const double flops = 2.0 * static_cast<double>(s.N) * static_cast<double>(s.C * 3 * s.F);
  return {.kind = SegmentKind::mlp,
          .saved_bytes = Saved({}, s, type, norm_).bytes,
          .forward_workspace_bytes = linear,
          .backward_workspace_bytes = Scratch({}, s, type, linear).bytes,
          .forward_flops = flops,
          .backward_flops = 2 * flops};
}

// normed = norm(x); gate, up = normed W; activated = silu(gate) * up; out = x + activated Wdown.
void SwigluMlpSegment::forward(const SegmentForward& op, const Shapes& s) const {
  const ConstView x = op.x.reshape(s.N, s.C);
  const Saved saved(Carve(op.saved), s, x.type, norm_);
  const UnitTensors& p = op.parameters;
  const Linear linear{s.products};
  norm_.forward(x, p[norm_gain_], p[norm_bias_], saved.normed, saved.statistics);
  linear.forward(saved.normed, p[gate_up_weight_], saved.gate_up, op.workspace);
  swiglu_forward({.gate = gate_of(saved.gate_up, s), .up = up_of(saved.gate_up, s), .out = saved.activated});
  if (!op.out.empty())
    linear.forward(saved.activated, p[down_weight_], op.out.reshape(s.N, s.C), op.workspace, {.residual = x});
}

void SwigluMlpSegment::backward(const SegmentBackward& op, const Shapes& s) const {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const Saved saved(Carve(op.saved), s, x.type, norm_);
  const Bytes fixed = Scratch({}, s, x.type, 0).bytes;
  const Scratch scratch(Carve(op.workspace), s, x.type, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.activated, g[down_weight_], scratch.kernels);
  linear.backward_input(d_out, p[down_weight_], scratch.d_activated, scratch.kernels);
  swiglu_backward({.gate = gate_of(saved.gate_up, s),
                   .up = up_of(saved.gate_up, s),
                   .d_out = scratch.d_activated,
                   .d_gate = gate_of(scratch.d_gate_up, s),
                   .d_up = up_of(scratch.d_gate_up, s)});

  linear.backward_weight(scratch.d_gate_up, saved.normed, g[gate_up_weight_], scratch.kernels);
  linear.backward_input(scratch.d_gate_up, p[gate_up_weight_], scratch.d_normed, scratch.kernels);
  norm_.backward({.x = x,
                  .gain = p[norm_gain_],
                  .statistics = saved.statistics,
                  .d_out = scratch.d_normed,
                  .d_residual = d_out,
                  .d_x = op.d_x.reshape(s.N, s.C),
                  .d_gain = g[norm_gain_],
                  .d_bias = g[norm_bias_]});
}

}  // namespace trireme
