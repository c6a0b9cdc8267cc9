// The AVX-512 BF16 inner loops: one tile into memory, or a whole tile through its epilogue to storage without leaving
// the registers. Compiled for Highway's AVX-512 target only, in functions that may use the BF16 instructions besides:
// GELU and the roundings keep one source.

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/matmul/matmul_avx512_bf16.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/matmul/matmul_epilogue.h"
#include "runtime/kernels/cpu/matmul/matmul_tile.h"
#include "runtime/kernels/cpu/simd/gelu-inl.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {
#if HWY_TARGET == HWY_AVX3

#define TRIREME_BF16 __attribute__((target(HWY_TARGET_STR ",avx512bf16")))
#define TRIREME_BF16_INLINE TRIREME_BF16 __attribute__((always_inline)) inline

constexpr int vectors = tile_cols / lanes;  // 8 x 3 sums, 3 loads of b and a broadcast fill the registers

/// The sums of a tile, in registers.
using Sums = __m512[tile_rows][vectors];

TRIREME_BF16_INLINE void start_from(Sums& sums, const float* tile, Elems stride) {
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v)
      sums[r][v] = tile ? _mm512_loadu_ps(tile + r * stride + 16 * v) : _mm512_setzero_ps();
}

TRIREME_BF16_INLINE void multiply_pairs(Sums& sums, Elems pairs, const std::uint32_t* a, const std::uint32_t* b) {
  for (; pairs > 0; --pairs, a += tile_rows, b += tile_cols) {
    __m512bh right[vectors];
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) right[v] = (__m512bh)_mm512_loadu_si512(b + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const __m512bh left = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r]));
#pragma GCC unroll 3
      for (int v = 0; v < vectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], left, right[v]);
    }
  }
}

TRIREME_BF16 void multiply_tile(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile,
                                bool load_tile) {
  Sums sums;
  start_from(sums, load_tile ? tile : nullptr, tile_cols);
  multiply_pairs(sums, pairs, a, b);
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(tile + r * tile_cols + 16 * v, sums[r][v]);
}

// What the epilogue will read comes while the tile is multiplied.
template <typename T>
TRIREME_BF16_INLINE void prefetch_tile(const ConstView& view, const WholeTile& t) {
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r) {
    const T* row = row_of<T>(view, t.row + r) + t.col;
    for (Elems c = 0; c < tile_cols; c += 64 / static_cast<Elems>(sizeof(T))) __builtin_prefetch(row + c);
    __builtin_prefetch(row + tile_cols - 1);
  }
}

template <typename T, int does>
TRIREME_BF16 void multiply_whole(const Matmul& k, const WholeTile& t) {
  const Epilogue& e = k.epilogue;
  Sums sums;
  start_from(sums, t.start, t.start_stride);
  if constexpr (does & adds_residual) prefetch_tile<T>(e.residual, t);
  if constexpr (does & times_slope) prefetch_tile<T>(e.gelu_backward_pre, t);
  multiply_pairs(sums, t.pairs, t.a, t.b);
  F16 bias[vectors];
  if constexpr (does & adds_bias)
    for (int v = 0; v < vectors; ++v) bias[v] = load(static_cast<const T*>(e.bias.data) + t.col + 16 * v);
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) {
      F16 x;
      x.part[0].raw = sums[r][v];
      if constexpr (does & adds_bias) x = x + bias[v];
      if constexpr (does & adds_residual) x = x + load(row_of<T>(e.residual, t.row + r) + t.col + 16 * v);
      if constexpr (does & takes_gelu) {
        store(row_of<T>(e.gelu_pre, t.row + r) + t.col + 16 * v, x);
        x = gelu(rounded<T>(x));
      }
      if constexpr (does & times_slope)
        x = x * gelu_slope(load(row_of<T>(e.gelu_backward_pre, t.row + r) + t.col + 16 * v));
      store(row_of<T>(k.out, t.row + r) + t.col + 16 * v, x);
    }
}

template <typename T>
MultiplyAndStore choose(int does) {
  switch (does) {
    case 0: return multiply_whole<T, 0>;
    case adds_bias: return multiply_whole<T, adds_bias>;
    case adds_residual: return multiply_whole<T, adds_residual>;
    case adds_bias | adds_residual: return multiply_whole<T, adds_bias | adds_residual>;
    case adds_bias | takes_gelu: return multiply_whole<T, adds_bias | takes_gelu>;
    case times_slope: return multiply_whole<T, times_slope>;
    default: return nullptr;
  }
}

#endif  // AVX-512
}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::cpu {

TileKernels tile_kernels_avx512_bf16(TileKernels others) {
  others.pack_bf16 = pack_bf16_avx512();
  others.multiply_bf16 = N_AVX3::multiply_tile;
  return others;
}

MultiplyAndStore multiply_and_store(const Matmul& k) {
  if (!has_avx512_bf16() || k.order != ProductOrder::chain || k.a.type != DType::bf16) return nullptr;
  if (!has_one_type(k.epilogue, k.out.type)) return nullptr;
  const int work = work_of(k.epilogue);
  return k.out.type == DType::f32 ? N_AVX3::choose<float>(work) : N_AVX3::choose<HardwareBf16>(work);
}

}  // namespace trireme::cpu
#endif
