#pragma once

#include "runtime/base/tensor_view.h"

namespace trireme {

/// Embedding, forward: out = token_table[token] (+ position_table[position]), per token, rounded once.
///
/// Shapes  tokens, positions i32 [N]; token_table [V,C]; position_table [P,C] or empty; out [N,C].
/// Types   tables and out: bf16 or f32, all the same.
/// Errors  bug for an id outside its table.
struct EmbeddingLookup {
  ConstView tokens, positions, token_table, position_table;
  View out;
};
void embedding_forward(const EmbeddingLookup& k);

/// Gradients of the tables: every row is one f32 chain over its token positions in order, rounded once; rows that no
/// token used are zero.
///
/// Shapes  tokens, positions i32 [N]; d_out [N,C]; d_token_table [V,C]; d_position_table [P,C] or empty.
/// Types   d_out: bf16 or f32; both gradients: bf16 or f32, the same.
/// Memory  workspace: embedding_backward_workspace_bytes(N, rows), for the larger table.
/// Errors  bug for an id outside its table.
struct EmbeddingGradient {
  ConstView tokens, positions, d_out;
  View d_token_table, d_position_table;
  View workspace;
};
void embedding_backward(const EmbeddingGradient& k);

/// The places of N ids sorted by row of a table with `rows` rows.
Bytes embedding_backward_workspace_bytes(Elems ids, Elems rows);

}  // namespace trireme
