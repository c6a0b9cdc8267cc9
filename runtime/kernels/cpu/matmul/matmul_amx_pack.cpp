// Packing for AMX: a tile of 16 x 32 elements at a time, from either layout in memory to either kind of tile.

#include <immintrin.h>

#include "runtime/kernels/cpu/matmul/matmul_amx.h"
#include "runtime/kernels/cpu/simd/avx512_transpose.h"

namespace trireme::cpu {
namespace {

constexpr Elems tile_elems = 16 * amx_block_k;

TRIREME_AVX512 __mmask32 first_lanes(Elems count) {
  return count >= 32 ? 0xffffffffu : count <= 0 ? 0u : (1u << count) - 1;
}

// What the next block will read, on its way: rows lie too far apart for the hardware to guess.
TRIREME_AVX512 void prefetch_rows(const bf16* at, Elems step) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm_prefetch(reinterpret_cast<const char*>(at + i * step), _MM_HINT_T0);
}

// Of 16 rows along k from `first_row` on: their 32 elements each from `first_k` on. `whole`: none is missing.
template <bool whole>
TRIREME_AVX512 void load_rows(const Panel<bf16>& p, Elems first_row, Elems first_k, __m512i (&r)[16]) {
  const bf16* const at = p.data + first_row * p.row_step + first_k;
  if constexpr (whole) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(at + i * p.row_step);
    return;
  }
  const __mmask32 mask = first_lanes(p.depth - first_k);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    r[i] = first_row + i < p.rows ? _mm512_maskz_loadu_epi16(mask, at + i * p.row_step) : _mm512_setzero_si512();
}

// Of 16 rows that lie across k: their 16 pairs of k from `first_k` on, each pair one element of 32 bits.
template <bool whole>
TRIREME_AVX512 void load_pairs(const Panel<bf16>& p, Elems first_row, Elems first_k, __m512i (&r)[16]) {
  const bf16* const at = p.data + first_k * p.k_step + first_row;
  const __mmask16 mask = whole ? 0xffff : static_cast<__mmask16>(first_lanes(p.rows - first_row));
  const Elems depth = p.depth - first_k;
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    __m256i even = _mm256_setzero_si256(), odd = even;
    if (whole || 2 * i < depth) even = _mm256_maskz_loadu_epi16(mask, at + 2 * i * p.k_step);
    if (whole || 2 * i + 1 < depth) odd = _mm256_maskz_loadu_epi16(mask, at + (2 * i + 1) * p.k_step);
    r[i] = _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
  }
}

// `turns`: whether the tile's rows cross the rows that lie in memory.
template <bool along_k, bool turns, bool whole>
TRIREME_AVX512 void pack_tile(const Panel<bf16>& p, Elems first_row, Elems first_k, bf16* packed) {
  __m512i r[16];
  if constexpr (along_k)
    load_rows<whole>(p, first_row, first_k, r);
  else
    load_pairs<whole>(p, first_row, first_k, r);
  if constexpr (turns) transpose_16x16(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_store_si512(packed + 32 * i, r[i]);
}

template <bool along_k, bool turns>
TRIREME_AVX512 void pack_block(const Panel<bf16>& p, Elems first_row, Elems first_k, bf16* packed) {
  const bool whole = first_row + amx_panel_rows <= p.rows && first_k + amx_block_k <= p.depth;
  for (Elems row = first_row; row < first_row + amx_panel_rows; row += 16, packed += tile_elems) {
    if (!whole) {
      pack_tile<along_k, turns, false>(p, row, first_k, packed);
      continue;
    }
    if constexpr (along_k)
      prefetch_rows(p.data + row * p.row_step + first_k + 4 * amx_block_k, p.row_step);
    else
      prefetch_rows(p.data + (first_k + amx_block_k + row - first_row) * p.k_step + first_row, p.k_step);
    pack_tile<along_k, turns, true>(p, row, first_k, packed);
  }
}

// In the order in which the operand lies in memory.
template <bool along_k, bool turns>
TRIREME_AVX512 void pack_blocks(const Panel<bf16>& p, Elems rows, bf16* packed) {
  const Elems panel = amx_panel_elems(p.depth), block = amx_panel_elems(amx_block_k);
  if constexpr (along_k) {
    for (Elems row = 0; row < rows; row += amx_panel_rows)
      for (Elems k = 0; k < p.depth; k += amx_block_k, packed += block) pack_block<along_k, turns>(p, row, k, packed);
  } else {
    for (Elems k = 0; k < p.depth; k += amx_block_k, packed += block)
      for (Elems row = 0; row < rows; row += amx_panel_rows)
        pack_block<along_k, turns>(p, row, k, packed + row / amx_panel_rows * panel);
  }
}

}  // namespace

TRIREME_AVX512_ENTRY void pack_amx_a(const Panel<bf16>& p, Elems rows, bf16* packed) {
  if (p.k_step == 1)
    pack_blocks<true, false>(p, rows, packed);
  else
    pack_blocks<false, true>(p, rows, packed);
}

TRIREME_AVX512_ENTRY void pack_amx_b(const Panel<bf16>& p, Elems rows, bf16* packed) {
  if (p.k_step == 1)
    pack_blocks<true, true>(p, rows, packed);
  else
    pack_blocks<false, false>(p, rows, packed);
}

}  // namespace trireme::cpu
