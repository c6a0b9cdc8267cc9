#pragma once
// Products of small blocks inside attention: one set per instruction set and head size, all with the same bits. Which
// blocks, in which order and under which mask is decided by attention_query_tile.h and attention_key_tile.h alone.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "runtime/base/tensor_view.h"
#include "runtime/kernels/cpu/matmul/matmul_tile.h"
#include "runtime/kernels/cpu/simd/amx_tiles.h"

namespace trireme::cpu {

/// Columns of a packed panel of scores; rows of a product come in whole groups.
inline constexpr Elems panel_cols = 64, row_group = 8, most_transposed_depth = 64;
/// How many k a block of the tiles order has.
inline constexpr Elems tiles_block = 32;

/// A packed element: a pair of bf16 along the contraction, or one float.
template <typename T>
using Packed = std::conditional_t<sizeof(T) == 2, std::uint32_t, float>;

/// Rows of packed elements that a contraction over `depth` has.
template <typename T>
constexpr Elems packed_depth(Elems depth) {
  return sizeof(T) == 2 ? ceil_div(depth, 2) : depth;
}
/// Columns in which a head's channels are packed and summed.
constexpr Elems packed_width(Elems head_dim) { return align_up(head_dim, 16); }

/// out = left right, or out += left right: every element one chain of fused multiply-adds over the depth, in pairs for
/// bf16; or, in the tiles order, blocks of tiles_block of the depth, counted from its first. rows is a multiple of
/// row_group, cols of 16. Of an odd depth in bf16 the next element of left is read: zero.
/// Whole tiles of 16 rows may be read from left and written to out: both have room for them.
template <typename T>
struct BlockProduct {
  Elems rows = 0, cols = 0, depth = 0;
  const T* left = nullptr;
  Elems left_stride = 0;
  const Packed<T>* right = nullptr;
  Elems right_stride = 0;
  float* out = nullptr;
  Elems out_stride = 0;
};

/// The products of one head size.
template <typename T>
struct BlockProducts {
  /// out = left right with left [rows][depth] and right a panel of panel_cols columns; depth is the head size (padded
  /// to a pair, which is left's stride). Scores, and gradients of probabilities.
  void (*multiply)(const BlockProduct<T>& k);
  /// out += left right with left [rows][depth], cols the packed width of the head. Sums over keys or queries.
  void (*add)(const BlockProduct<T>& k);
  /// The same with left [depth][rows]; rows is a multiple of 16, depth at most most_transposed_depth.
  void (*add_transposed)(const BlockProduct<T>& k);
  /// See pack_columns(), pack_rows().
  void (*pack)(const Panel<T>& panel, Elems width, Packed<T>* packed);
  /// On the diagonal, a block is cut into groups of so many rows, each with a depth of its own: what they see. Part of
  /// the arithmetic in the tiles order, where a cut inside a block of tiles_block would change the sums.
  Elems group = row_group;
  /// Where those depths may begin: at multiples of so much.
  Elems first_depth_step = 2;
  bool on_tile_registers = false;
};

/// Those of active_isa(). The tiles order is one of bf16.
template <typename T>
BlockProducts<T> block_products(Elems head_dim, ProductOrder order);
/// Tiles on tile registers: call only where the CPU has AMX, and products only while hold_tile_registers() holds.
BlockProducts<bf16> block_products_amx(const BlockProducts<bf16>& others);

/// The calling thread's, where the products need them.
template <typename T>
void hold_tile_registers(const BlockProducts<T>& products, std::optional<TileRegisters>& registers) {
  if (products.on_tile_registers) registers.emplace();
}
/// The AVX-512 BF16 ones where there are some for this head size, else `others`; call only where the CPU has it.
BlockProducts<bf16> block_products_avx512_bf16(Elems head_dim, const BlockProducts<bf16>& others);

/// The elements of a view whose type was checked where the call came in. (Checks have a price between blocks: they wait
/// for the stores of the block before.)
template <typename T>
const T* elements(const ConstView& x) {
  return static_cast<const T*>(x.data);
}
template <typename T>
T* elements(const View& x) {
  return static_cast<T*>(x.data);
}

/// Packs up to panel_cols rows of x as columns of a right operand contracted along the columns of x.
template <typename T>
void pack_columns(const BlockProducts<T>& products, const ConstView& x, Packed<T>* packed) {
  products.pack({elements<T>(x), x.rows, x.cols, x.row_stride, 1}, panel_cols, packed);
}
/// Packs x [K, D] as a right operand contracted along its rows: packed_depth(K) rows of packed_width(D).
template <typename T>
void pack_rows(const BlockProducts<T>& products, const ConstView& x, Packed<T>* packed) {
  products.pack({elements<T>(x), x.cols, x.rows, 1, x.row_stride}, packed_width(x.cols), packed);
}
/// Copies x [rows, D] to left rows of `stride` elements; zero beyond x, up to whole groups of rows.
template <typename T>
void copy_left(const ConstView& x, Elems stride, T* left) {
  const T* from = elements<T>(x);
  const std::size_t row_bytes = static_cast<std::size_t>(x.cols) * sizeof(T);
  for (Elems r = 0; r < x.rows; ++r, from += x.row_stride, left += stride) {
    std::memcpy(left, from, row_bytes);
    std::fill_n(left + x.cols, stride - x.cols, T{});
  }
  std::fill_n(left, (align_up(x.rows, row_group) - x.rows) * stride, T{});
}

}  // namespace trireme::cpu
