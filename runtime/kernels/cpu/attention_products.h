#pragma once
// Products of small blocks inside attention: one set per instruction set and head size, all with the same bits. Which
// blocks, in which order and under which mask is decided by attention_forward.cpp and attention_backward.cpp alone.

#include <cstdint>
#include <type_traits>

#include "runtime/base/tensor_view.h"

namespace trireme::cpu {

/// Columns of a packed panel of scores; rows of a product come in whole groups.
inline constexpr Elems panel_cols = 64, row_group = 8;

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
/// bf16. rows is a multiple of row_group, cols of 16. Of an odd depth in bf16 the next element of left is read: zero.
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
  /// out = left right with left [rows][depth] and right a panel of panel_cols columns; depth is the head size (padded to
  /// a pair, which is left's stride). Scores, and gradients of probabilities.
  void (*multiply)(const BlockProduct<T>& k);
  /// out += left right with left [rows][depth], cols the packed width of the head. Sums over keys or queries.
  void (*add)(const BlockProduct<T>& k);
  /// The same with left [depth][rows]; rows is a multiple of 16.
  void (*add_transposed)(const BlockProduct<T>& k);
};

/// Those of active_isa().
template <typename T>
BlockProducts<T> block_products(Elems head_dim);
/// The AVX-512 BF16 ones where there are some for this head size, else `others`; call only where the CPU has it.
BlockProducts<bf16> block_products_avx512_bf16(Elems head_dim, const BlockProducts<bf16>& others);

/// Packs up to panel_cols rows of x as columns of a right operand contracted along the columns of x.
template <typename T>
void pack_columns(const ConstView& x, Packed<T>* packed);
/// Packs x [K, D] as a right operand contracted along its rows: packed_depth(K) rows of packed_width(D).
template <typename T>
void pack_rows(const ConstView& x, Packed<T>* packed);
/// Copies x [rows, D] to left rows of `stride` elements; zero beyond x, up to whole groups of rows.
template <typename T>
void copy_left(const ConstView& x, Elems stride, T* left);

}  // namespace trireme::cpu
