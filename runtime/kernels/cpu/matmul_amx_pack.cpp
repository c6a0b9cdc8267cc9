// Packing for AMX: 32 x 32 elements at a time, from either layout in memory to either kind of tile.

#include <immintrin.h>

#include "runtime/kernels/cpu/avx512_transpose.h"
#include "runtime/kernels/cpu/matmul_amx.h"

namespace trireme::cpu {
namespace {

TRIREME_AVX512 __mmask32 first_lanes(Elems count) {
  return count >= 32 ? 0xffffffffu : count <= 0 ? 0u : (1u << count) - 1;
}

TRIREME_AVX512 void store_tile_rows(const __m512i (&r)[16], bf16* packed) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_store_si512(packed + 32 * i, r[i]);
}

// Of 16 rows along k: their 32 elements each, from `first_k` on.
TRIREME_AVX512 void load_rows(const Panel<bf16>& p, Elems first_row, Elems first_k, __m512i (&r)[16]) {
  const __mmask32 mask = first_lanes(p.depth - first_k);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const Elems row = first_row + i;
    r[i] = row < p.rows ? _mm512_maskz_loadu_epi16(mask, p.data + row * p.row_step + first_k) : _mm512_setzero_si512();
  }
}

// Of a block whose rows lie along r: 16 pairs of k of rows 0-15 and of rows 16-31, each pair one 32-bit element.
TRIREME_AVX512 void load_pairs(const Panel<bf16>& p, Elems first_k, __m512i (&low)[16], __m512i (&high)[16]) {
  const __mmask32 mask = first_lanes(p.rows);
  // Element i of the first operand, then of the second: 0, 32, 1, 33, ...
  const __m512i to_low = _mm512_add_epi32(_mm512_set1_epi32(0x00200000), _mm512_mullo_epi32(_mm512_set1_epi32(0x00010001),
                                          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
  const __m512i to_high = _mm512_add_epi32(to_low, _mm512_set1_epi32(0x00100010));
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const Elems k = first_k + 2 * i;
    const bf16* at = p.data + k * p.k_step;
    const __m512i even = k < p.depth ? _mm512_maskz_loadu_epi16(mask, at) : _mm512_setzero_si512();
    const __m512i odd = k + 1 < p.depth ? _mm512_maskz_loadu_epi16(mask, at + p.k_step) : _mm512_setzero_si512();
    low[i] = _mm512_permutex2var_epi16(even, to_low, odd);
    high[i] = _mm512_permutex2var_epi16(even, to_high, odd);
  }
}

// `transposes`: whether the tile's rows cross the rows that lie in memory.
template <bool along_k, bool transposes>
TRIREME_AVX512 void pack_block(const Panel<bf16>& p, Elems first_k, bf16* packed) {
  constexpr Elems tile_elems = 16 * 32;
  __m512i low[16], high[16];
  if constexpr (along_k) {
    load_rows(p, 0, first_k, low);
    load_rows(p, 16, first_k, high);
  } else {
    load_pairs(p, first_k, low, high);
  }
  if constexpr (transposes) transpose_16x16(low), transpose_16x16(high);
  store_tile_rows(low, packed);
  store_tile_rows(high, packed + tile_elems);
}

template <bool along_k, bool transposes>
TRIREME_AVX512 void pack_blocks(const Panel<bf16>& p, bf16* packed) {
  for (Elems k = 0; k < p.depth; k += amx_block_k, packed += amx_panel_elems(amx_block_k))
    pack_block<along_k, transposes>(p, k, packed);
}

}  // namespace

TRIREME_AVX512_ENTRY void pack_amx_a(const Panel<bf16>& panel, bf16* packed) {
  if (panel.k_step == 1) pack_blocks<true, false>(panel, packed);
  else pack_blocks<false, true>(panel, packed);
}

TRIREME_AVX512_ENTRY void pack_amx_b(const Panel<bf16>& panel, bf16* packed) {
  if (panel.k_step == 1) pack_blocks<true, true>(panel, packed);
  else pack_blocks<false, false>(panel, packed);
}

}  // namespace trireme::cpu
