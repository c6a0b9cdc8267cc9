#pragma once
// The inner loops of the matrix product, one set per instruction set: pack panels, multiply one tile.

#include <cstdint>

#include "runtime/kernels/matmul.h"

namespace trireme::cpu {

inline constexpr Elems tile_rows = 8, tile_cols = 48;

/// A run of an operand: element (r, k) is at data[r * row_step + k * k_step]; r is a row of a or a column of b.
/// One of the steps is 1.
template <typename T>
struct Panel {
  const T* data = nullptr;
  Elems rows = 0, depth = 0;  // rows may be fewer than the panel's width; the rest is packed as zero
  Elems row_step = 0, k_step = 0;
};

/// Packed form: for each k (f32) or pair of k (bf16), `width` elements next to each other; depth is padded to a pair.
struct TileKernels {
  void (*pack_bf16)(const Panel<bf16>& panel, Elems width, std::uint32_t* packed);
  void (*pack_f32)(const Panel<float>& panel, Elems width, float* packed);
  /// tile[8][48] = (load ? tile : 0) + a b, `depth` counting pairs or elements.
  void (*multiply_bf16)(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load);
  void (*multiply_f32)(Elems depth, const float* a, const float* b, float* tile, bool load);
};

/// Those of active_isa(), in the given order of sums.
TileKernels tile_kernels(ProductOrder order = ProductOrder::chain);
/// The AVX-512 BF16 ones; call only where the CPU has it.
TileKernels tile_kernels_avx512_bf16(TileKernels others);

/// Those of AMX in the tiles order: other loops, and panels of 8 rows packed another way, as large. Call only where the
/// CPU has it, and multiply only while a TileRegisters(8) lives (attention_tiles.h).
TileKernels tile_kernels_amx(TileKernels others);

/// multiply_bf16 of the tiles order by fused multiply-adds, on any instruction set. Blocks are counted from the first pair.
void multiply_bf16_in_tiles_order(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load);

/// Stores rows x cols of a tile whose first element is (row, col) of the product.
void store_tile(const Matmul& k, const float* tile, Elems row, Elems col, Elems rows, Elems cols);

}  // namespace trireme::cpu
