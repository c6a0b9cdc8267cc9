#pragma once
// The letters that shapes are written in, everywhere in models/.

#include "models/model_config.h"
#include "runtime/base/units.h"
#include "runtime/kernels/product_order.h"

namespace trireme {

/// Sizes of one microbatch of one model, and how its products add.
struct Shapes {
  Elems B = 0;   // sequences
  Elems T = 0;   // tokens of a sequence
  Elems N = 0;   // tokens: B * T
  Elems C = 0;   // channels (width)
  Elems H = 0;   // query heads
  Elems K = 0;   // key and value heads
  Elems D = 0;   // head size: C / H unless the model says another
  Elems F = 0;   // ffn width
  Elems V = 0;   // vocabulary
  Elems Vp = 0;  // vocabulary with padding: the next multiple of 128
  Elems P = 0;   // context: positions that exist
  Elems L = 0;   // blocks
  ProductOrder products = ProductOrder::chain;

  Elems qkv() const { return (H + 2 * K) * D; }
};

inline Shapes make_shapes(const ModelConfig& config, Elems sequences, Elems tokens_of_a_sequence,
                          ProductOrder products) {
  return {.B = sequences,
          .T = tokens_of_a_sequence,
          .N = sequences * tokens_of_a_sequence,
          .C = config.width,
          .H = config.heads,
          .K = config.kv_heads,
          .D = config.head_size(),
          .F = config.ffn,
          .V = config.vocab,
          .Vp = align_up(config.vocab, 128),
          .P = config.context,
          .L = config.layers,
          .products = products};
}

/// Tokens whose logits are alive at once in the head: a constant of every model, part of its arithmetic (design 4.7).
inline constexpr Elems head_chunk_tokens = 1024;

}  // namespace trireme
