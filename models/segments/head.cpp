#include "models/segments/head.h"

#include <algorithm>

#include "models/segments/carve.h"
#include "models/segments/embedding.h"
#include "models/segments/linear.h"
#include "models/segments/tensor_specs.h"
#include "runtime/kernels/argmax.h"
#include "runtime/kernels/cross_entropy.h"
#include "runtime/kernels/square_sum.h"

namespace trireme {
namespace {

/// Scratch of the head, cut from its workspace.
struct HeadScratch {
  View normed;  // [N,C]
  NormStatistics statistics;
  View d_normed;  // [N,C]
  View losses;    // f32 [N]
  View logits;    // [chunk,Vp]
  View kernels;   // bytes
  Bytes bytes;

  HeadScratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : normed(carve.take(type, s.N, s.C)),
        statistics{carve.take(DType::f32, 1, s.N), carve.take(DType::f32, 1, s.N)},
        d_normed(carve.take(type, s.N, s.C)),
        losses(carve.take(DType::f32, 1, s.N)),
        logits(carve.take(type, std::min(s.N, head_chunk_tokens), s.Vp)),
        kernels(carve.take_bytes(kernel_bytes)),
        bytes(carve.used_bytes()) {}
};

/// Scratch of choosing one token: the norm and logits of one row.
struct ChooseScratch {
  View normed;  // [1,C]
  NormStatistics statistics;
  View logits;   // [1,Vp]
  View kernels;  // bytes
  Bytes bytes;

  ChooseScratch(Carve carve, const Shapes& s, DType type, Bytes kernel_bytes)
      : normed(carve.take(type, 1, s.C)),
        statistics{carve.take(DType::f32, 1, 1), carve.take(DType::f32, 1, 1)},
        logits(carve.take(type, 1, s.Vp)),
        kernels(carve.take_bytes(kernel_bytes)),
        bytes(carve.used_bytes()) {}
};

Bytes linear_bytes(const Shapes& s, Elems tokens, const MicrobatchShape& shape) {
  return Linear{s.products}.workspace_bytes(tokens, s.C, s.Vp, shape.compute, shape.threads);
}

// What is left of the workspace behind the fixed part is for kernels.
template <typename Scratch>
Scratch cut(View workspace, const Shapes& s, DType type) {
  const Bytes fixed = Scratch(Carve(), s, type, 0).bytes;
  return Scratch(Carve(workspace), s, type, workspace.bytes() - fixed);
}

}  // namespace

HeadSegment::HeadSegment(const Norm& norm, bool tied) : norm_(norm) {
  TensorNumbers numbers;
  norm_gain_ = numbers.next(), norm_bias_ = numbers.next(norm.has_bias());
  vocabulary_ = numbers.next(!tied);
}

UnitSpec HeadSegment::describe(const Shapes& s, const MicrobatchShape& shape) const {
  TensorList tensors;
  tensors.add(norm_gain_, vector("head.norm.weight", s.C, 1));
  tensors.add(norm_bias_, vector("head.norm.bias", s.C, 0));
  tensors.add(vocabulary_, vocabulary_matrix("head.vocabulary.weight", s));
  const Bytes linear = linear_bytes(s, std::min(s.N, head_chunk_tokens), shape);
  const Bytes bytes = HeadScratch(Carve(), s, shape.compute, linear).bytes;
  const Bytes choose = ChooseScratch(Carve(), s, shape.compute, linear_bytes(s, 1, shape)).bytes;
  const double flops = 2.0 * static_cast<double>(s.N) * static_cast<double>(s.C * s.V);
  UnitSpec unit{.name = "head",
                .kind = UnitKind::head,
                .tensors = tensors.take(),
                .segments = {{.kind = SegmentKind::loss,
                              .forward_workspace_bytes = bytes,
                              .backward_workspace_bytes = bytes,
                              .forward_flops = flops,
                              .backward_flops = 2 * flops},
                             {.kind = SegmentKind::choose, .forward_workspace_bytes = choose}}};
  if (vocabulary_ == no_tensor)
    unit.tied = TiedTensor{.unit = 0, .tensor = EmbeddingSegment::token_table};
  else
    unit.vocabulary = vocabulary_;
  return unit;
}

void HeadSegment::loss(const HeadLoss& op, const Shapes& s) const {
  const DType type = op.x.type;
  const ConstView x = op.x.reshape(s.N, s.C);
  HeadScratch scratch = cut<HeadScratch>(op.workspace, s, type);
  const bool backward = !op.d_x.empty();
  const ConstView gain = op.parameters[norm_gain_];
  const float scale = op.valid_tokens > 0 ? static_cast<float>(1.0 / static_cast<double>(op.valid_tokens)) : 0;
  const Linear linear{s.products};
  norm_.forward(x, gain, op.parameters[norm_bias_], scratch.normed, scratch.statistics);
  for (Elems first = 0; first < s.N; first += head_chunk_tokens) {
    const Elems n = std::min(head_chunk_tokens, s.N - first);
    const ConstView normed = scratch.normed.rows_from(first, n);
    const View logits = scratch.logits.rows_from(0, n);
    linear.forward(normed, op.vocabulary, logits, scratch.kernels);
    cross_entropy({.logits = logits,
                   .vocabulary = s.V,
                   .targets = op.batch.targets.cols_from(first, n),
                   .weights = op.batch.weights.cols_from(first, n),
                   .losses = scratch.losses.cols_from(first, n),
                   .scale = scale,
                   .backward = backward});
    if (!backward) continue;
    linear.backward_input(logits, op.vocabulary, scratch.d_normed.rows_from(first, n), scratch.kernels);
    // One chain over all tokens: later chunks go on where the one before stopped.
    linear.backward_weight(logits, normed, op.d_vocabulary, scratch.kernels, {.accumulate = first > 0});
  }
  block_sum({.x = scratch.losses, .sum = &op.sums->loss});
  op.sums->valid_tokens += op.batch.valid_tokens();
  if (backward)
    norm_.backward({.x = x,
                    .gain = gain,
                    .statistics = scratch.statistics,
                    .d_out = scratch.d_normed,
                    .d_x = op.d_x.reshape(s.N, s.C),
                    .d_gain = op.gradients[norm_gain_],
                    .d_bias = op.gradients[norm_bias_]});
}

void HeadSegment::choose(const HeadChoose& op, const Shapes& s) const {
  ChooseScratch scratch = cut<ChooseScratch>(op.workspace, s, op.x.type);
  norm_.forward(op.x.reshape(s.N, s.C).rows_from(op.position, 1), op.parameters[norm_gain_], op.parameters[norm_bias_],
                scratch.normed, scratch.statistics);
  Linear{s.products}.forward(scratch.normed, op.vocabulary, scratch.logits, scratch.kernels);
  argmax({.logits = scratch.logits, .vocabulary = s.V, .index = op.choice});
}

}  // namespace trireme
