#pragma once
// The matrix products of a GPT-2 124M step, and some awkward shapes.

#include "runtime/base/units.h"

namespace trireme::bench {

struct Product {
  const char* name;
  Elems m, n, k;
  bool a_transposed, b_transposed;
  enum { plain, bias, bias_residual, bias_gelu, gelu_slope } epilogue;
};

// 4 sequences of 512 tokens; the head in chunks of 1,024 tokens. Names as the prototype's step prints them.
inline constexpr Product products[] = {
    {"fwd qkv(+bias)", 2048, 2304, 768, false, true, Product::bias},
    {"fwd o(+bias+res)", 2048, 768, 768, false, true, Product::bias_residual},
    {"fwd fc(+bias+gelu)", 2048, 3072, 768, false, true, Product::bias_gelu},
    {"fwd proj(+bias+res)", 2048, 768, 3072, false, true, Product::bias_residual},
    {"head logits", 1024, 50304, 768, false, true, Product::plain},
    {"head dX", 1024, 768, 50304, false, false, Product::plain},
    {"head dW", 50304, 768, 1024, true, false, Product::plain},
    {"dW proj", 768, 3072, 2048, true, false, Product::plain},
    {"dX proj(*gelu')", 2048, 3072, 768, false, false, Product::gelu_slope},
    {"dW fc", 3072, 768, 2048, true, false, Product::plain},
    {"dX fc", 2048, 768, 3072, false, false, Product::plain},
    {"dW o", 768, 768, 2048, true, false, Product::plain},
    {"dX o", 2048, 768, 768, false, false, Product::plain},
    {"dW qkv", 2304, 768, 2048, true, false, Product::plain},
    {"dX qkv", 2048, 768, 2304, false, false, Product::plain},
    // Edges everywhere: no multiple of 48, 32 or 128. Few tokens, too.
    {"width 1000 fwd", 2048, 1000, 1000, false, true, Product::bias_residual},
    {"width 1000 dX", 2048, 1000, 1000, false, false, Product::gelu_slope},
    {"width 1000 dW", 1000, 1000, 2000, true, false, Product::plain},
    {"ffn 2048 fwd", 2048, 2048, 768, false, true, Product::plain},
    {"ffn 2048 dW", 2048, 768, 2048, true, false, Product::plain},
    {"64 tokens fwd", 64, 768, 768, false, true, Product::bias_residual},
    {"64 tokens dW", 768, 768, 64, true, false, Product::plain},
};

}  // namespace trireme::bench
