#include "models/segments/gelu_mlp.h"

#include <algorithm>

#include "models/segments/linear.h"
#include "models/segments/tensor_specs.h"
#include "runtime/kernels/bias.h"

namespace trireme {
namespace {

/// What backward needs of forward.
struct Saved {
  View normed;                // [N,C]
  NormStatistics statistics;  // f32 [N]
  View pre, activated;        // [N,F] before and after GELU
  Bytes bytes;

  Saved(Carve carve, const Shapes& s, DType type, const Norm& norm)
      : normed(carve.take(type, s.N, s.C)),
        statistics(norm.take_statistics(carve, s.N)),
        pre(carve.take(type, s.N, s.F)),
        activated(carve.take(type, s.N, s.F)),
        bytes(carve.used_bytes()) {}
};

/// Of backward.
struct Scratch {
  View d_pre;     // [N,F]
  View d_normed;  // [N,C]
  View kernels;   // bytes
  Bytes bytes;

  Scratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : d_pre(carve.take(type, s.N, s.F)),
        d_normed(carve.take(type, s.N, s.C)),
        kernels(carve.take_bytes(kernel_bytes)),
        bytes(carve.used_bytes()) {}
};

}  // namespace

GeluMlpSegment::GeluMlpSegment(const Norm& norm) : norm_(norm) {
  TensorNumbers numbers;
  norm_gain_ = numbers.next(), norm_bias_ = numbers.next(norm.has_bias());
  up_weight_ = numbers.next(), up_bias_ = numbers.next();
  down_weight_ = numbers.next(), down_bias_ = numbers.next();
}

std::vector<TensorSpec> GeluMlpSegment::tensors(const std::string& block, const Shapes& s) const {
  const std::string p = block + "mlp.";
  TensorList list;
  list.add(norm_gain_, vector(p + "norm.weight", s.C, 1));
  list.add(norm_bias_, vector(p + "norm.bias", s.C, 0));
  list.add(up_weight_, matrix(p + "up.weight", s.F, s.C));
  list.add(up_bias_, vector(p + "up.bias", s.F, 0));
  list.add(down_weight_, matrix(p + "down.weight", s.C, s.F, out_deviation(s)));
  list.add(down_bias_, vector(p + "down.bias", s.C, 0));
  return list.take();
}

SegmentSpec GeluMlpSegment::describe(const Shapes& s, const MicrobatchShape& shape) const {
  const DType type = shape.compute;
  const Linear layer{s.products};
  const Bytes linear = std::max(layer.workspace_bytes(s.N, s.C, s.F, type, shape.threads),
                                layer.workspace_bytes(s.N, s.F, s.C, type, shape.threads));
  const double flops = 2.0 * static_cast<double>(s.N) * static_cast<double>(s.C * 2 * s.F);
  return {.kind = SegmentKind::mlp,
          .saved_bytes = Saved({}, s, type, norm_).bytes,
          .forward_workspace_bytes = linear,
          .backward_workspace_bytes = Scratch({}, s, type, linear).bytes,
          .forward_flops = flops,
          .backward_flops = 2 * flops};
}

// normed = norm(x); pre = normed Wup + b; activated = gelu(pre); out = x + activated Wdown + b.
void GeluMlpSegment::forward(const SegmentForward& op, const Shapes& s) const {
  const ConstView x = op.x.reshape(s.N, s.C);
  const Saved saved(Carve(op.saved), s, x.type, norm_);
  const UnitTensors& p = op.parameters;
  const Linear linear{s.products};
  norm_.forward(x, p[norm_gain_], p[norm_bias_], saved.normed, saved.statistics);
  linear.forward(saved.normed, p[up_weight_], saved.activated, op.workspace,
                 {.bias = p[up_bias_], .gelu_pre = saved.pre});
  if (!op.out.empty())
    linear.forward(saved.activated, p[down_weight_], op.out.reshape(s.N, s.C), op.workspace,
                   {.bias = p[down_bias_], .residual = x});
}

void GeluMlpSegment::backward(const SegmentBackward& op, const Shapes& s) const {
  const ConstView x = op.x.reshape(s.N, s.C), d_out = op.d_out.reshape(s.N, s.C);
  const Saved saved(Carve(op.saved), s, x.type, norm_);
  const Bytes fixed = Scratch({}, s, x.type, 0).bytes;
  const Scratch scratch(Carve(op.workspace), s, x.type, op.workspace.bytes() - fixed);
  const UnitTensors &p = op.parameters, &g = op.gradients;
  const Linear linear{s.products};

  linear.backward_weight(d_out, saved.activated, g[down_weight_], scratch.kernels);
  bias_gradient({.d_out = d_out, .d_bias = g[down_bias_]});
  linear.backward_input(d_out, p[down_weight_], scratch.d_pre, scratch.kernels, {.gelu_backward_pre = saved.pre});

  linear.backward_weight(scratch.d_pre, saved.normed, g[up_weight_], scratch.kernels);
  bias_gradient({.d_out = scratch.d_pre, .d_bias = g[up_bias_]});
  linear.backward_input(scratch.d_pre, p[up_weight_], scratch.d_normed, scratch.kernels);
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
