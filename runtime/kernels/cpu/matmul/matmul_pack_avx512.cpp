// Packing of bf16 panels on AVX-512. Only functions with the target attribute may use its instructions: the rest of the
// program must run on CPUs without them.

#include <immintrin.h>

#include <algorithm>

#include "runtime/kernels/cpu/matmul/matmul_tile.h"
#include "runtime/kernels/cpu/simd/avx512_transpose.h"

namespace trireme::cpu {
namespace {

// Elements of k that a block of 16 x 16 pairs holds.
constexpr Elems block_depth = 32;

// 16 rows of 16 pairs, transposed.
TRIREME_AVX512 void transpose_whole(const bf16* source, Elems row_step, std::uint32_t* packed, Elems width) {
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(source + i * row_step);
  transpose_16x16(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(packed + i * width, r[i]);
}

// 8 rows of 8 pairs, transposed.
TRIREME_AVX512 void transpose_8x8(const bf16* source, Elems row_step, std::uint32_t* packed) {
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
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + i * 8), _mm256_permute2x128_si256(r[i], r[4 + i], 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed + (4 + i) * 8),
                        _mm256_permute2x128_si256(r[i], r[4 + i], 0x31));
  }
}

/// What there is of a block of 16 rows and 32 elements of k, of which `lanes` rows have a place in the panel.
struct Part {
  Elems rows, depth, lanes;
};

// The same of a block that is not whole: what is missing becomes zero.
TRIREME_AVX512 void transpose_part(const bf16* source, Elems row_step, const Part& part, std::uint32_t* packed,
                                   Elems width) {
  const __mmask32 there = static_cast<__mmask32>(~0ull >> (64 - part.depth));
  const __mmask16 placed = static_cast<__mmask16>((1u << part.lanes) - 1);
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    r[i] = i < part.rows ? _mm512_maskz_loadu_epi16(there, source + i * row_step) : _mm512_setzero_si512();
  transpose_16x16(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    if (2 * i < part.depth) _mm512_mask_storeu_epi32(packed + i * width, placed, r[i]);
}

// A panel whose rows are runs of k.
TRIREME_AVX512 void transpose_panel(const Panel<bf16>& p, Elems width, std::uint32_t* packed) {
  for (Elems r = 0; r < width; r += 16) {
    const bf16* row = p.data + r * p.row_step;
    Part part{.rows = std::clamp<Elems>(p.rows - r, 0, 16), .depth = 0, .lanes = std::min<Elems>(width - r, 16)};
    Elems k = 0;
    if (part.rows == 16)
      for (; k + block_depth <= p.depth; k += block_depth)
        transpose_whole(row + k, p.row_step, packed + k / 2 * width + r, width);
    else if (part.rows == 8 && width == 8)
      for (; k + 16 <= p.depth; k += 16) transpose_8x8(row + k, p.row_step, packed + k / 2 * width);
    for (; k < p.depth; k += block_depth) {
      part.depth = std::min(p.depth - k, block_depth);
      transpose_part(row + k, p.row_step, part, packed + k / 2 * width + r, width);
    }
  }
}

/// Two rows of k, the second perhaps beyond the last: then it counts as zero.
struct Zipped {
  const bf16 *even, *odd;
};
TRIREME_AVX512 Zipped rows_of_pair(const Panel<bf16>& p, Elems k) {
  const bf16* even = p.data + k * p.k_step;
  return {even, k + 1 < p.depth ? even + p.k_step : nullptr};
}

// Up to 16 pairs; lanes beyond `there` become zero.
TRIREME_AVX512 void zip_part(const Zipped& z, Elems first, __mmask16 there, __mmask16 placed, std::uint32_t* packed) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, z.even + first));
  const __m512i high =
      z.odd ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, z.odd + first)) : _mm512_setzero_si512();
  _mm512_mask_storeu_epi32(packed, placed, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

TRIREME_AVX512 void zip_16(const Zipped& z, Elems first, std::uint32_t* packed) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(z.even + first)));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(z.odd + first)));
  _mm512_storeu_si512(packed, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

// 32 pairs into four panels of 8: whole cache lines are read, where one panel alone would read a quarter of each.
TRIREME_AVX512 void zip_4x8(const Zipped& z, std::uint32_t* packed, Elems panel_elems) {
  const __m512i first_two = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i last_two = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  const __m512i even = _mm512_loadu_si512(z.even), odd = _mm512_loadu_si512(z.odd);
  const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
  const __m512i ab = _mm512_permutex2var_epi64(low, first_two, high),
                cd = _mm512_permutex2var_epi64(low, last_two, high);
  const auto at = [&](Elems panel) { return reinterpret_cast<__m256i*>(packed + panel * panel_elems); };
  _mm256_storeu_si256(at(0), _mm512_castsi512_si256(ab));
  _mm256_storeu_si256(at(1), _mm512_extracti64x4_epi64(ab, 1));
  _mm256_storeu_si256(at(2), _mm512_castsi512_si256(cd));
  _mm256_storeu_si256(at(3), _mm512_extracti64x4_epi64(cd, 1));
}

// A panel whose rows lie next to each other for each k.
TRIREME_AVX512 void zip_panel(const Panel<bf16>& p, Elems width, std::uint32_t* packed) {
  for (Elems k = 0; k < p.depth; k += 2, packed += width) {
    const Zipped z = rows_of_pair(p, k);
    Elems r = 0;
    if (z.odd)
      for (; r + 16 <= p.rows; r += 16) zip_16(z, r, packed + r);
    for (; r < width; r += 16) {
      const Elems there = std::clamp<Elems>(p.rows - r, 0, 16), placed = std::min<Elems>(width - r, 16);
      zip_part(z, r, static_cast<__mmask16>((1u << there) - 1), static_cast<__mmask16>((1u << placed) - 1), packed + r);
    }
  }
}

TRIREME_AVX512 void zip_four_panels(const Panel<bf16>& p, std::uint32_t* packed, Elems panel_elems) {
  Elems k = 0;
  for (; k + 2 <= p.depth; k += 2) zip_4x8(rows_of_pair(p, k), packed + k / 2 * 8, panel_elems);
  for (Elems panel = 0; k < p.depth && panel < 4; ++panel)
    zip_part(rows_of_pair(p, k), panel * 8, 0xff, 0xff, packed + panel * panel_elems + k / 2 * 8);
}

TRIREME_AVX512_ENTRY void pack(const Panel<bf16>& all, Elems width, std::uint32_t* packed) {
  const Elems panel_elems = width * ceil_div(all.depth, 2);
  Panel<bf16> p = all;
  for (Elems first = 0; first < all.rows; first += width, packed += panel_elems) {
    p.data = all.data + first * all.row_step;
    p.rows = std::min(all.rows - first, width);
    if (all.row_step != 1) {
      transpose_panel(p, width, packed);
    } else if (width == 8 && first + 32 <= all.rows) {
      zip_four_panels(p, packed, panel_elems);
      first += 3 * width, packed += 3 * panel_elems;
    } else {
      zip_panel(p, width, packed);
    }
  }
}

}  // namespace

PackBf16 pack_bf16_avx512() { return pack; }

}  // namespace trireme::cpu
