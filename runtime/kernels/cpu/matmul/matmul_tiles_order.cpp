// One tile of a product in the tiles order, without tile registers: what tdpbf16ps does, by fused multiply-adds.

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/matmul/matmul_tiles_order.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <bit>

#include "runtime/kernels/cpu/matmul/matmul_tile.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Rows whose two chains fit into the registers next to both halves of b.
constexpr Elems rows_at_once = parts == 1 ? 4 : 1;
constexpr Elems vectors = tile_cols / lanes;
constexpr Elems block_pairs = 16;

// The chains of one block over its even and its odd k.
struct Chains {
  F16 even[rows_at_once][vectors], odd[rows_at_once][vectors];
};

HWY_INLINE void run_chains(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, Chains& chains) {
  for (Elems k = 0; k < pairs; ++k)
    for (Elems v = 0; v < vectors; ++v) {
      const F16 low = low_halves(b + k * tile_cols + v * lanes), high = high_halves(b + k * tile_cols + v * lanes);
      for (Elems r = 0; r < rows_at_once; ++r) {
        const std::uint32_t pair = a[k * tile_rows + r];
        chains.even[r][v] = fma(set(std::bit_cast<float>(pair << 16)), low, chains.even[r][v]);
        chains.odd[r][v] = fma(set(std::bit_cast<float>(pair & 0xffff0000u)), high, chains.odd[r][v]);
      }
    }
}

HWY_INLINE void multiply_rows(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile) {
  for (Elems first = 0; first < pairs; first += block_pairs) {
    const Elems count = std::min(block_pairs, pairs - first);
    Chains chains;
    for (Elems r = 0; r < rows_at_once; ++r)
      for (Elems v = 0; v < vectors; ++v) chains.even[r][v] = chains.odd[r][v] = set(0);
    run_chains(count, a + first * tile_rows, b + first * tile_cols, chains);
    for (Elems r = 0; r < rows_at_once; ++r)
      for (Elems v = 0; v < vectors; ++v) {
        F16 even = chains.even[r][v], odd = chains.odd[r][v];
        // The zeros that pad a block do one thing to a chain: they turn -0 into 0.
        if (count < block_pairs) even = even + set(0), odd = odd + set(0);
        float* at = tile + r * tile_cols + v * lanes;
        store(at, load(at) + (even + odd));
      }
  }
}

void multiply_tiles_order(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load_tile) {
  if (!load_tile) std::fill_n(tile, tile_rows * tile_cols, 0.0f);
  for (Elems first = 0; first < tile_rows; first += rows_at_once)
    multiply_rows(pairs, a + first, b, tile + first * tile_cols);
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::cpu {
HWY_EXPORT(multiply_tiles_order);

void multiply_bf16_in_tiles_order(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load) {
  HWY_DYNAMIC_DISPATCH(multiply_tiles_order)(pairs, a, b, tile, load);
}

}  // namespace trireme::cpu
#endif
