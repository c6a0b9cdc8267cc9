// The small tile of 8 x 48, on AMX in the tiles order: for products of small blocks, in attention.

#include <algorithm>
#include <cstring>

#include "runtime/kernels/cpu/amx_tiles.h"
#include "runtime/kernels/cpu/avx512_transpose.h"
#include "runtime/kernels/cpu/matmul_tile.h"

namespace trireme::cpu {
namespace {

constexpr Elems block_pairs = 16;  // one block of K: 32 k

// Rows of the block from `first` on, any steps, any size.
void pack_rest(const Panel<bf16>& p, Elems first, Elems pairs, std::uint32_t* packed) {
  const auto at = [&](Elems r, Elems k) -> std::uint32_t {
    return r < p.rows && k < p.depth ? p.data[r * p.row_step + k * p.k_step].bits : 0;
  };
  for (Elems r = 0; r < tile_rows; ++r)
    for (Elems i = 0; i < pairs; ++i) *packed++ = at(r, first + 2 * i) | at(r, first + 2 * i + 1) << 16;
}

// A whole block whose k run down the rows of memory: zipped to pairs, then turned.
TRIREME_AVX512_ENTRY void pack_turned(const bf16* data, Elems k_step, std::uint32_t* packed) {
  __m512i rows[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const __m128i even = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 2 * i * k_step));
    const __m128i odd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + (2 * i + 1) * k_step));
    const __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd));
    rows[i] = _mm512_castsi256_si512(pairs);
  }
  transpose_16x16(rows);
#pragma GCC unroll 8
  for (int i = 0; i < tile_rows; ++i) _mm512_storeu_si512(packed + i * block_pairs, rows[i]);
}

// Eight rows of a lie as AMX reads them: for each block of pairs, row after row. The last block may be shorter.
void pack_left(const Panel<bf16>& p, std::uint32_t* packed) {
  for (Elems first = 0; first < p.depth; first += 2 * block_pairs) {
    const Elems pairs = std::min(block_pairs, ceil_div(p.depth - first, 2));
    const bool whole = p.rows == tile_rows && first + 2 * block_pairs <= p.depth;
    if (!whole) pack_rest(p, first, pairs, packed);
    else if (p.row_step == 1) pack_turned(p.data + first * p.k_step, p.k_step, packed);
    else
      for (Elems r = 0; r < tile_rows; ++r) std::memcpy(packed + r * block_pairs, p.data + r * p.row_step + first, 64);
    packed += tile_rows * pairs;
  }
}

void pack(const Panel<bf16>& p, Elems width, std::uint32_t* packed) {
  if (width == tile_rows) pack_left(p, packed);
  else tile_kernels_avx512_bf16({}).pack_bf16(p, width, packed);
}

// sums += a b over one block; needs TileRegisters(tile_rows).
void multiply_block(const std::uint32_t* a, const std::uint32_t* b) {
  constexpr Bytes a_row = 64, b_row = tile_cols * 4;
  tile_load<3>(a, a_row);
  tile_load<4>(b, b_row), tile_multiply<0, 3, 4>();
  tile_load<5>(b + 16, b_row), tile_multiply<1, 3, 5>();
  tile_load<6>(b + 32, b_row), tile_multiply<2, 3, 6>();
}

// The last block, padded by zeros.
void multiply_rest(Elems pairs, const std::uint32_t* a, const std::uint32_t* b) {
  alignas(64) std::uint32_t left[tile_rows * block_pairs] = {}, right[block_pairs * tile_cols] = {};
  for (Elems r = 0; r < tile_rows; ++r) std::copy_n(a + r * pairs, pairs, left + r * block_pairs);
  std::copy_n(b, pairs * tile_cols, right);
  multiply_block(left, right);
}

void multiply(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load) {
  constexpr Bytes row = tile_cols * 4;
  if (load) tile_load<0>(tile, row), tile_load<1>(tile + 16, row), tile_load<2>(tile + 32, row);
  else tile_zero<0>(), tile_zero<1>(), tile_zero<2>();
  Elems k = 0;
  for (; k + block_pairs <= pairs; k += block_pairs) multiply_block(a + k * tile_rows, b + k * tile_cols);
  if (k < pairs) multiply_rest(pairs - k, a + k * tile_rows, b + k * tile_cols);
  tile_store<0>(tile, row), tile_store<1>(tile + 16, row), tile_store<2>(tile + 32, row);
}

}  // namespace

TileKernels tile_kernels_amx(TileKernels others) {
  others.pack_bf16 = pack;
  others.multiply_bf16 = multiply;
  return others;
}

}  // namespace trireme::cpu
