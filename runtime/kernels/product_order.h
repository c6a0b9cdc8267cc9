#pragma once

#include <cstdint>

namespace trireme {

/// In which order a bf16 matrix product adds its K terms. Part of the trajectory: the two give different bits, and each
/// gives its own on every CPU. A zero flushed from a denormal keeps its sign; roundings are to nearest, all sums f32.
///
/// chain  one chain over pairs of k: c = fma(a0, b0, fma(a1, b1, c)). What vdpbf16ps does.
/// tiles  blocks of 32 k, counted from the first k of the call: c = c + (even + odd), where even and odd are chains of
/// 16
///        fused multiply-adds each, from zero, over the even and the odd k of the block. K is padded by zeros to whole
///        blocks. What tdpbf16ps (AMX) does.
enum class ProductOrder : std::uint8_t { chain, tiles };

constexpr const char* name(ProductOrder order) {
  switch (order) {
    case ProductOrder::chain: return "chain";
    case ProductOrder::tiles: return "tiles";
  }
  return "chain";
}

}  // namespace trireme
