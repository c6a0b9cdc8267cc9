// Block products of attention in the tiles order, on AMX: 32 x 32 sums in four tile registers, operands straight from
// where they lie. The last block of a depth that is no multiple of 32 is copied and padded by zeros.

#include <algorithm>

#include "runtime/kernels/cpu/attention/attention_products.h"
#include "runtime/kernels/cpu/matmul/matmul_amx.h"

namespace trireme::cpu {
namespace {

constexpr Elems tile_size = 16, block_pairs = tiles_block / 2;
static_assert(tiles_block == amx_block_k && 2 * tile_size == amx_panel_rows);

/// Left rows of a few tiles: `stride` elements apart in a block, block after block of the depth `block_step` apart.
struct Left {
  const bf16* at;
  Elems stride, block_step;
};
/// Pairs of k, `stride` apart.
struct Right {
  const std::uint32_t* at;
  Elems stride;
};

template <int rows, int cols>
void load_sums(const float* at, Elems stride) {
  const Bytes step = stride * size_bytes(DType::f32);
  tile_load<0>(at, step);
  if constexpr (cols > 1) tile_load<1>(at + tile_size, step);
  if constexpr (rows > 1) tile_load<2>(at + tile_size * stride, step);
  if constexpr (rows > 1 && cols > 1) tile_load<3>(at + tile_size * stride + tile_size, step);
}
template <int rows, int cols>
void store_sums(float* at, Elems stride) {
  const Bytes step = stride * size_bytes(DType::f32);
  tile_store<0>(at, step);
  if constexpr (cols > 1) tile_store<1>(at + tile_size, step);
  if constexpr (rows > 1) tile_store<2>(at + tile_size * stride, step);
  if constexpr (rows > 1 && cols > 1) tile_store<3>(at + tile_size * stride + tile_size, step);
}

template <int rows, int cols>
void multiply_block(const Left& left, const Right& right) {
  const Bytes left_step = left.stride * size_bytes(DType::bf16), right_step = right.stride * 4;
  tile_load<4>(left.at, left_step), tile_load<6>(right.at, right_step), tile_multiply<0, 4, 6>();
  if constexpr (cols > 1) tile_load<7>(right.at + tile_size, right_step), tile_multiply<1, 4, 7>();
  if constexpr (rows > 1) tile_load<5>(left.at + tile_size * left.stride, left_step), tile_multiply<2, 5, 6>();
  if constexpr (rows > 1 && cols > 1) tile_multiply<3, 5, 7>();
}

// What lies beyond the depth is not read: it may be anything.
template <int rows, int cols>
void multiply_rest(const Left& left, const Right& right, Elems depth) {
  alignas(64) bf16 left_copy[rows * tile_size * tiles_block] = {};
  alignas(64) std::uint32_t right_copy[block_pairs * cols * tile_size] = {};
  for (Elems r = 0; r < rows * tile_size; ++r)
    std::copy_n(left.at + r * left.stride, depth, left_copy + r * tiles_block);
  for (Elems k = 0; k < packed_depth<bf16>(depth); ++k)
    std::copy_n(right.at + k * right.stride, cols * tile_size, right_copy + k * cols * tile_size);
  multiply_block<rows, cols>({left_copy, tiles_block, 0}, {right_copy, cols * tile_size});
}

template <int rows, int cols, bool add>
void sums(const BlockProduct<bf16>& k, Left left, Elems row, Elems col) {
  float* const out = k.out + row * k.out_stride + col;
  if constexpr (add)
    load_sums<rows, cols>(out, k.out_stride);
  else
    tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  Right right = {k.right + col, k.right_stride};
  Elems first = 0;
  for (; first + tiles_block <= k.depth; first += tiles_block) {
    multiply_block<rows, cols>(left, right);
    left.at += left.block_step, right.at += block_pairs * right.stride;
  }
  if (first < k.depth) multiply_rest<rows, cols>(left, right, k.depth - first);
  store_sums<rows, cols>(out, k.out_stride);
}

template <int rows, bool add>
void all_columns(const BlockProduct<bf16>& k, const Left& left, Elems row) {
  Elems col = 0;
  for (; col + 2 * tile_size <= k.cols; col += 2 * tile_size) sums<rows, 2, add>(k, left, row, col);
  if (col < k.cols) sums<rows, 1, add>(k, left, row, col);
}

template <bool add>
void product(const BlockProduct<bf16>& k) {
  for (Elems row = 0; row < k.rows; row += 2 * tile_size) {
    const Left left = {k.left + row * k.left_stride, k.left_stride, tiles_block};
    if (row + tile_size < k.rows)
      all_columns<2, add>(k, left, row);
    else
      all_columns<1, add>(k, left, row);
  }
}

// Left is packed as the matrix product packs a transposed operand.
void add_transposed(const BlockProduct<bf16>& k) {
  alignas(64) bf16 packed[amx_panel_elems(most_transposed_depth)];
  for (Elems row = 0; row < k.rows; row += amx_panel_rows) {
    pack_amx_a({k.left + row, std::min(amx_panel_rows, k.rows - row), k.depth, 1, k.left_stride}, amx_panel_rows,
               packed);
    const Left left = {packed, amx_block_k, amx_panel_elems(amx_block_k)};
    if (row + tile_size < k.rows)
      all_columns<2, true>(k, left, row);
    else
      all_columns<1, true>(k, left, row);
  }
}

}  // namespace

BlockProducts<bf16> block_products_amx(const BlockProducts<bf16>& others) {
  BlockProducts<bf16> products = others;
  products.multiply = product<false>, products.add = product<true>, products.add_transposed = add_transposed;
  products.on_tile_registers = true;
  return products;
}

}  // namespace trireme::cpu
