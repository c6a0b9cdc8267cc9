#include "models/gpt/gpt.h"

#include "models/gpt/units.h"
#include "models/head.h"
#include "runtime/kernels/embedding.h"

namespace trireme::gpt {

Gpt::Gpt(const ModelConfig& config, int sequence, ProductOrder products)
    : config_(config), sequence_(sequence), products_(products), norm_(config.family, config.norm_eps) {}

void Gpt::forward(const EmbeddingForward& op) const {
  embedding_forward({.tokens = op.batch.tokens, .positions = op.batch.positions,
                     .token_table = op.parameters[token_table], .position_table = op.parameters[position_table],
                     .out = op.out.reshape(op.batch.token_count(), config_.width)});
}

void Gpt::backward(const EmbeddingBackward& op) const {
  embedding_backward({.tokens = op.batch.tokens, .positions = op.batch.positions,
                      .d_out = op.d_out.reshape(op.batch.token_count(), config_.width), .d_token_table = op.gradients[token_table],
                      .d_position_table = op.gradients[position_table], .workspace = op.workspace});
}

void Gpt::forward(int segment, const SegmentForward& op) const {
  const Shapes s = shapes(op.batch.token_count());
  if (segment == 0) attention_forward(op, s, norm_);
  else mlp_forward(op, s, norm_);
}

void Gpt::backward(int segment, const SegmentBackward& op) const {
  const Shapes s = shapes(op.batch.token_count());
  if (segment == 0) attention_backward(op, s, norm_);
  else mlp_backward(op, s, norm_);
}

void Gpt::head(const Head& op) const { run_head(op, shapes(op.batch.token_count()), norm_); }

void Gpt::choose(const HeadChoose& op) const { run_choose(op, shapes(op.x.elems() / config_.width), norm_); }

void Gpt::fill_constants(View) const {}

}  // namespace trireme::gpt
