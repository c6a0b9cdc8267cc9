#include "models/llama/llama.h"

#include "models/carve.h"
#include "models/head.h"
#include "models/llama/units.h"
#include "runtime/kernels/embedding.h"
#include "runtime/kernels/rope.h"

namespace trireme::llama {

Llama::Llama(const ModelConfig& config, int sequence, ProductOrder products)
    : config_(config), sequence_(sequence), products_(products), norm_(config.family, config.norm_eps) {}

void Llama::forward(const EmbeddingForward& op) const {
  embedding_forward({.tokens = op.batch.tokens, .token_table = op.parameters[token_table],
                     .out = op.out.reshape(op.batch.token_count(), config_.width)});
}

void Llama::backward(const EmbeddingBackward& op) const {
  embedding_backward({.tokens = op.batch.tokens, .d_out = op.d_out.reshape(op.batch.token_count(), config_.width),
                      .d_token_table = op.gradients[token_table], .workspace = op.workspace});
}

void Llama::forward(int segment, const SegmentForward& op) const {
  const Shapes s = shapes(op.batch.token_count());
  if (segment == 0) attention_forward(op, s, norm_);
  else mlp_forward(op, s, norm_);
}

void Llama::backward(int segment, const SegmentBackward& op) const {
  const Shapes s = shapes(op.batch.token_count());
  if (segment == 0) attention_backward(op, s, norm_);
  else mlp_backward(op, s, norm_);
}

void Llama::head(const Head& op) const { run_head(op, shapes(op.batch.token_count()), norm_); }

void Llama::choose(const HeadChoose& op) const { run_choose(op, shapes(op.x.elems() / config_.width), norm_); }

Bytes RotaryTables::bytes(const Shapes& s) { return 2 * align_up(s.T * (s.D / 2) * size_bytes(DType::f32), 64); }

RotaryTables::RotaryTables(ConstView constants, const Shapes& s) {
  Carve carve(constants);
  cosines = carve.take(DType::f32, s.T, s.D / 2);
  sines = carve.take(DType::f32, s.T, s.D / 2);
}

void Llama::fill_constants(View constants) const {
  const Shapes s = shapes(sequence_);
  const RotaryTables tables(constants, s);
  rope_table({.cosines = tables.cosines, .sines = tables.sines, .head_dim = s.D, .theta = config_.rope_theta,
              .scaling = config_.rope_scaling});
}

}  // namespace trireme::llama
