#include "models/segments/embedding.h"

#include <algorithm>

#include "models/segments/tensor_specs.h"
#include "runtime/kernels/embedding.h"

namespace trireme {

UnitSpec EmbeddingSegment::describe(const Shapes& s) const {
  TensorList tensors;
  tensors.add(token_table, vocabulary_matrix("embedding.token.weight", s));
  tensors.add(position_table_, matrix("embedding.position.weight", s.P, s.C));
  // Tokens and positions are sorted one after the other.
  const Elems rows = learned_positions() ? std::max(s.Vp, s.P) : s.Vp;
  return {.name = "embedding",
          .kind = UnitKind::embedding,
          .tensors = tensors.take(),
          .segments = {{.kind = SegmentKind::embedding,
                        .backward_workspace_bytes = embedding_backward_workspace_bytes(s.N, rows)}}};
}

void EmbeddingSegment::forward(const EmbeddingForward& op, const Shapes& s) const {
  embedding_forward({.tokens = op.batch.tokens,
                     .positions = learned_positions() ? op.batch.positions : View(),
                     .token_table = op.parameters[token_table],
                     .position_table = op.parameters[position_table_],
                     .out = op.out.reshape(s.N, s.C)});
}

void EmbeddingSegment::backward(const EmbeddingBackward& op, const Shapes& s) const {
  embedding_backward({.tokens = op.batch.tokens,
                      .positions = learned_positions() ? op.batch.positions : View(),
                      .d_out = op.d_out.reshape(s.N, s.C),
                      .d_token_table = op.gradients[token_table],
                      .d_position_table = op.gradients[position_table_],
                      .workspace = op.workspace});
}

}  // namespace trireme
