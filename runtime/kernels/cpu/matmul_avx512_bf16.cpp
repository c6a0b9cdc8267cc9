// The AVX-512 BF16 inner loops. Only functions with the target attribute may use its instructions: the rest of the
// program must run on CPUs without them.

#include <immintrin.h>

#include <algorithm>

#include "runtime/kernels/cpu/matmul_tile.h"

#define TRIREME_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma"), always_inline)) inline
#define TRIREME_AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")))

namespace trireme::cpu {
namespace {

constexpr int vectors = 3;  // of 16 columns: 8 x 3 sums, 3 loads of b and a broadcast fill the registers

TRIREME_AVX512_ENTRY void multiply(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load) {
  __m512 sum[tile_rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v)
      sum[r][v] = load ? _mm512_loadu_ps(tile + r * tile_cols + 16 * v) : _mm512_setzero_ps();
  for (Elems k = 0; k < pairs; ++k) {
    __m512bh right[vectors];
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) right[v] = (__m512bh)_mm512_loadu_si512(b + k * tile_cols + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const __m512bh left = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[k * tile_rows + r]));
#pragma GCC unroll 3
      for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, right[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(tile + r * tile_cols + 16 * v, sum[r][v]);
}

// 16 rows of 16 pairs, transposed.
TRIREME_AVX512 void transpose_16x16(const bf16* source, Elems row_step, std::uint32_t* packed, Elems width) {
  __m512i r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(source + i * row_step);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm512_storeu_si512(packed + i * width, _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88));
    _mm512_storeu_si512(packed + (4 + i) * width, _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88));
    _mm512_storeu_si512(packed + (8 + i) * width, _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd));
    _mm512_storeu_si512(packed + (12 + i) * width, _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd));
  }
}

// 8 rows of 8 pairs, transposed.
TRIREME_AVX512 void transpose_8x8(const bf16* source, Elems row_step, std::uint32_t* packed, Elems width) {
  __m256i r[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source + i * row_step));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + i * width), _mm256_permute2x128_si256(r[i], r[4 + i], 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + (4 + i) * width),
                        _mm256_permute2x128_si256(r[i], r[4 + i], 0x31));
  }
}

// Two rows of 16 elements, zipped into 16 pairs.
TRIREME_AVX512 void zip_16(const bf16* even, const bf16* odd, std::uint32_t* packed) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd)));
  _mm512_storeu_si512(packed, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
TRIREME_AVX512 void zip_8(const bf16* even, const bf16* odd, std::uint32_t* packed) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(even));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(odd));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(packed), _mm_unpacklo_epi16(low, high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(packed + 4), _mm_unpackhi_epi16(low, high));
}

void pack_rest(const Panel<bf16>& p, Elems width, Elems first_k, std::uint32_t* packed) {
  const auto at = [&](Elems r, Elems k) -> std::uint32_t {
    return r < p.rows && k < p.depth ? p.data[r * p.row_step + k * p.k_step].bits : 0;
  };
  for (Elems k = first_k; k < p.depth; k += 2)
    for (Elems r = 0; r < width; ++r) packed[k / 2 * width + r] = at(r, k) | at(r, k + 1) << 16;
}

TRIREME_AVX512_ENTRY void pack(const Panel<bf16>& p, Elems width, std::uint32_t* packed) {
  if (p.rows < width) return pack_rest(p, width, 0, packed);
  Elems k = 0;
  if (p.row_step == 1) {
    for (; k + 2 <= p.depth; k += 2) {
      const bf16* even = p.data + k * p.k_step;
      std::uint32_t* out = packed + k / 2 * width;
      Elems r = 0;
      for (; r + 16 <= width; r += 16) zip_16(even + r, even + p.k_step + r, out + r);
      for (; r + 8 <= width; r += 8) zip_8(even + r, even + p.k_step + r, out + r);
    }
  } else if (width % 16 == 0) {
    for (; k + 32 <= p.depth; k += 32)
      for (Elems r = 0; r < width; r += 16)
        transpose_16x16(p.data + r * p.row_step + k, p.row_step, packed + k / 2 * width + r, width);
  } else {
    for (; k + 16 <= p.depth; k += 16)
      transpose_8x8(p.data + k, p.row_step, packed + k / 2 * width, width);
  }
  pack_rest(p, width, k, packed);
}

}  // namespace

TileKernels tile_kernels_avx512_bf16(TileKernels others) {
  others.pack_bf16 = pack;
  others.multiply_bf16 = multiply;
  return others;
}

}  // namespace trireme::cpu
