// Block products of attention on AVX-512 BF16. Only functions with the target attribute may use its instructions.
// Depths and strides that depend on the head size are known when it is compiled: in loops this short that is worth more
// than a tenth of the rate.

#include <immintrin.h>

#include <cstring>

#include "runtime/kernels/cpu/attention/attention_products.h"

#define TRIREME_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma"), always_inline)) inline
#define TRIREME_AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")))

namespace trireme::cpu {
namespace {

constexpr int tile_rows = 4;  // times 4 vectors: 16 sums, and 4 loads for each 16 products

// A pair of bf16, in every lane.
TRIREME_AVX512 __m512bh broadcast(const void* pair) {
  int bits;
  std::memcpy(&bits, pair, sizeof bits);
  return (__m512bh)_mm512_set1_epi32(bits);
}

/// sum += the products of one pair of each row of left, row_step bytes apart, and one row of right.
template <int vectors>
TRIREME_AVX512 void multiply_pair(const std::byte* left, Elems row_step, const std::uint32_t* right,
                                  __m512 (&sum)[tile_rows][vectors]) {
  __m512bh x[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) x[v] = (__m512bh)_mm512_loadu_si512(right + 16 * v);
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r) {
    const __m512bh pair = broadcast(left + r * row_step);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], pair, x[v]);
  }
}

template <int vectors>
TRIREME_AVX512 void load_sums(const float* from, Elems stride, __m512 (&sum)[tile_rows][vectors]) {
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_loadu_ps(from + r * stride + 16 * v);
}
template <int vectors>
TRIREME_AVX512 void store_sums(const __m512 (&sum)[tile_rows][vectors], Elems stride, float* to) {
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(to + r * stride + 16 * v, sum[r][v]);
}

// Scores: the depth is the head size.
template <int head_dim>
TRIREME_AVX512_ENTRY void multiply(const BlockProduct<bf16>& k) {
  constexpr int vectors = panel_cols / 16;
  for (Elems row = 0; row < k.rows; row += tile_rows) {
    __m512 sum[tile_rows][vectors] = {};
    const auto* left = reinterpret_cast<const std::byte*>(k.left + row * head_dim);
#pragma GCC unroll 8
    for (int pair = 0; pair < head_dim / 2; ++pair)
      multiply_pair(left + pair * 4, head_dim * 2, k.right + pair * panel_cols, sum);
    store_sums(sum, k.out_stride, k.out + row * k.out_stride);
  }
}

// Vectors of channels that are summed at a time.
constexpr int vectors_of(int head_dim) { return head_dim <= 96 ? head_dim / 16 : 4; }

/// One tile of sums over the depth, for channels from `col` on; left's pairs are row_step and pair_step bytes apart.
template <int head_dim>
TRIREME_AVX512 void add_tile(const BlockProduct<bf16>& k, const std::byte* left, Elems row_step, Elems pair_step,
                             Elems row, int col) {
  constexpr int vectors = vectors_of(head_dim);
  const std::uint32_t* right = k.right + col;
  const Elems pairs = (k.depth + 1) / 2;
  __m512 sum[tile_rows][vectors];
  float* out = k.out + row * head_dim + col;
  load_sums(out, head_dim, sum);
#pragma GCC unroll 4
  for (Elems pair = 0; pair < pairs; ++pair)
    multiply_pair(left + pair * pair_step, row_step, right + pair * head_dim, sum);
  store_sums(sum, head_dim, out);
}

// Sums over keys or queries: every channel of the head, a depth as long as the block.
template <int head_dim>
TRIREME_AVX512_ENTRY void add(const BlockProduct<bf16>& k) {
  for (Elems row = 0; row < k.rows; row += tile_rows)
    for (int col = 0; col < head_dim; col += 16 * vectors_of(head_dim))
      add_tile<head_dim>(k, reinterpret_cast<const std::byte*>(k.left + row * k.left_stride), 2 * k.left_stride, 4, row,
                         col);
}

// Rows 2 i and 2 i + 1 of left, 16 columns of them, as pairs.
TRIREME_AVX512 void zip_rows(const BlockProduct<bf16>& k, Elems col, std::uint32_t* zipped) {
  const bf16* from = k.left + col;
  for (Elems depth = 0; depth < k.depth; depth += 2, from += 2 * k.left_stride, zipped += 16) {
    const auto* even = reinterpret_cast<const __m256i*>(from);
    const auto* odd = reinterpret_cast<const __m256i*>(from + k.left_stride);
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(even));
    const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(odd)), 16);
    _mm512_store_si512(zipped, _mm512_or_si512(low, high));
  }
}

template <int head_dim>
TRIREME_AVX512_ENTRY void add_transposed(const BlockProduct<bf16>& k) {
  alignas(64) std::uint32_t zipped[most_transposed_depth / 2 * 16];
  for (Elems first = 0; first < k.rows; first += 16) {
    zip_rows(k, first, zipped);
    for (Elems row = 0; row < 16; row += tile_rows)
      for (int col = 0; col < head_dim; col += 16 * vectors_of(head_dim))
        add_tile<head_dim>(k, reinterpret_cast<const std::byte*>(zipped + row), 4, 64, first + row, col);
  }
}

template <int head_dim>
BlockProducts<bf16> products_of(const BlockProducts<bf16>& others) {
  return {.multiply = multiply<head_dim>,
          .add = add<head_dim>,
          .add_transposed = add_transposed<head_dim>,
          .pack = others.pack};
}

}  // namespace

BlockProducts<bf16> block_products_avx512_bf16(Elems head_dim, const BlockProducts<bf16>& others) {
  switch (head_dim) {
    case 32: return products_of<32>(others);
    case 64: return products_of<64>(others);
    case 80: return products_of<80>(others);
    case 96: return products_of<96>(others);
    case 128: return products_of<128>(others);
    default: return others;
  }
}

}  // namespace trireme::cpu
