#pragma once
// Products of small blocks inside attention, from packed panels, with the tiles of the matrix product.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "runtime/kernels/cpu/amx_tiles.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/matmul_tile.h"

namespace trireme::cpu {

inline constexpr float log2_e = 1.44269504f;

/// A packed element: a pair of bf16, or one float.
template <typename T>
using Packed = std::conditional_t<sizeof(T) == 2, std::uint32_t, float>;

/// Packed elements of `width` rows (padded to whole panels by the caller) of depth `depth`.
template <typename T>
constexpr Elems packed_elems(Elems width, Elems depth) {
  return width * (sizeof(T) == 2 ? ceil_div(depth, 2) : depth);
}

/// Cuts scratch from a block of bytes; cuts nothing, and counts, from a null one.
class Carved {
 public:
  explicit Carved(std::byte* base) : base_(base) {}

  /// Panels of `rows` (padded to 48, which 8 divides) by `depth`.
  template <typename T>
  Packed<T>* take(Elems rows, Elems depth) {
    return cut<Packed<T>>(packed_elems<T>(align_up(rows, tile_cols), depth));
  }
  float* floats(Elems count) { return cut<float>(count); }
  template <typename T>
  T* elements(Elems count) {
    return cut<T>(count);
  }
  Bytes used_bytes() const { return used_; }

 private:
  template <typename T>
  T* cut(Elems count) {
    T* at = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += align_up(count * static_cast<Bytes>(sizeof(T)), 64);
    return at;
  }
  std::byte* base_;
  Bytes used_ = 0;
};

/// Rows, columns and depth of a block product; b's panels were packed with depth b_depth, at least `depth`.
struct BlockShape {
  Elems rows, cols, depth, b_depth;
};

class AttentionTiles {
 public:
  /// Belongs to the thread that makes it: it may hold the thread's tile registers.
  explicit AttentionTiles(ProductOrder order) : kernels_(tile_kernels(order)) {
    if (order == ProductOrder::tiles && active_isa() == Isa::amx) registers_.emplace(tile_rows);
  }

  /// Panels of `width` rows of x, contracted along its columns.
  template <typename T>
  void pack_transposed(const ConstView& x, Elems width, Packed<T>* packed) const {
    for (Elems row = 0; row < x.rows; row += width, packed += packed_elems<T>(width, x.cols))
      pack(Panel<T>{x.as<T>() + row * x.row_stride, std::min(width, x.rows - row), x.cols, x.row_stride, 1}, width, packed);
  }
  /// Panels of `width` columns of x, contracted along its rows.
  template <typename T>
  void pack_rows(const ConstView& x, Elems width, Packed<T>* packed) const {
    for (Elems col = 0; col < x.cols; col += width, packed += packed_elems<T>(width, x.rows))
      pack(Panel<T>{x.as<T>() + col, std::min(width, x.cols - col), x.rows, 1, x.row_stride}, width, packed);
  }

  /// out[rows][cols] (row stride `stride`) = (add ? out : 0) + a b, from panels of 8 rows and of 48 columns. Whole tiles
  /// are written: out must have room for them.
  template <typename T>
  void multiply(const BlockShape& s, const Packed<T>* a, const Packed<T>* b, float* out, Elems stride, bool add) const {
    alignas(64) float tile[tile_rows * tile_cols];
    for (Elems col = 0; col < s.cols; col += tile_cols, b += packed_elems<T>(tile_cols, s.b_depth)) {
      const Packed<T>* rows = a;
      for (Elems row = 0; row < s.rows; row += tile_rows, rows += packed_elems<T>(tile_rows, s.depth)) {
        float* at = out + row * stride + col;
        if (add) copy(at, stride, tile, tile_cols);
        if constexpr (sizeof(T) == 2) kernels_.multiply_bf16(ceil_div(s.depth, 2), rows, b, tile, add);
        else kernels_.multiply_f32(s.depth, rows, b, tile, add);
        copy(tile, tile_cols, at, stride);
      }
    }
  }

 private:
  static void copy(const float* from, Elems from_stride, float* to, Elems to_stride) {
    for (Elems r = 0; r < tile_rows; ++r)
      std::copy_n(from + r * from_stride, tile_cols, to + r * to_stride);
  }
  template <typename T>
  void pack(const Panel<T>& panel, Elems width, Packed<T>* packed) const {
    if constexpr (sizeof(T) == 2) kernels_.pack_bf16(panel, width, packed);
    else kernels_.pack_f32(panel, width, packed);
  }

  TileKernels kernels_;
  std::optional<TileRegisters> registers_;
};

}  // namespace trireme::cpu
