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
  Elems rows = 0, depth = 0;
  Elems row_step = 0, k_step = 0;
};

/// Packed form of a panel: for each k (f32) or pair of k (bf16), `width` elements next to each other; depth is padded
/// to a pair, rows to the width, with zeros. More rows than the width go into further panels, one after the other.
using PackBf16 = void (*)(const Panel<bf16>& panel, Elems width, std::uint32_t* packed);
using PackF32 = void (*)(const Panel<float>& panel, Elems width, float* packed);

struct TileKernels {
  PackBf16 pack_bf16;
  PackF32 pack_f32;
  /// tile[8][48] = (load ? tile : 0) + a b, `depth` counting pairs or elements.
  void (*multiply_bf16)(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load);
  void (*multiply_f32)(Elems depth, const float* a, const float* b, float* tile, bool load);
};

/// Those of active_isa(), in the given order of sums. Not for the tiles order on AMX, which has loops of its own
/// (matmul_amx.h).
TileKernels tile_kernels(ProductOrder order = ProductOrder::chain);
/// Those of single instruction sets; call only where the CPU has it.
PackBf16 pack_bf16_avx512();
TileKernels tile_kernels_avx512_bf16(TileKernels others);

/// multiply_bf16 of the tiles order by fused multiply-adds, on any instruction set. Blocks are counted from the first
/// pair.
void multiply_bf16_in_tiles_order(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load);

/// Stores rows x cols of a tile whose first element is (row, col) of the product.
void store_tile(const Matmul& k, const float* tile, Elems row, Elems col, Elems rows, Elems cols);

/// A whole tile of a bf16 product, from its packed panels to its storage.
struct WholeTile {
  Elems pairs;
  const std::uint32_t *a, *b;
  const float* start;  // the sums it goes on from; null: zero
  Elems start_stride;
  Elems row, col;  // of its first element in the product
};
using MultiplyAndStore = void (*)(const Matmul& k, const WholeTile& tile);
/// What multiplies and stores a whole tile of k without leaving the registers: the bits of multiply_bf16 and
/// store_tile. Null where active_isa() has none for k's types and epilogue.
MultiplyAndStore multiply_and_store(const Matmul& k);

}  // namespace trireme::cpu
