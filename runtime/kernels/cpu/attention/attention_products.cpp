#include "runtime/kernels/cpu/attention/attention_products.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/attention/attention_products.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Rows and vectors of 16 columns whose sums fit into the registers.
constexpr Elems tile_height = parts == 1 ? 4 : 2;
constexpr Elems tile_vectors = parts == 1 ? 4 : 2;
// The tiles order has two chains for each sum.
constexpr Elems chain_vectors = tile_vectors / 2;
constexpr Elems block_pairs = tiles_block / 2;

/// One tile of a product: how it begins, and where left's element (row, k) lies.
template <typename T, bool add, bool transposed>
struct Tile {
  const BlockProduct<T>& b;

  HWY_INLINE F16 left(Elems row, Elems k) const {
    const T x = transposed ? b.left[k * b.left_stride + row] : b.left[row * b.left_stride + k];
    if constexpr (sizeof(T) == 2)
      return set(to_f32(x));
    else
      return set(x);
  }

  template <Elems vectors>
  HWY_INLINE void step(Elems row, Elems k, const Packed<T>* packed, F16 (&sum)[tile_height][vectors]) const {
    F16 first[tile_height], second[tile_height];
    for (Elems r = 0; r < tile_height; ++r) {
      first[r] = left(row + r, sizeof(T) == 2 ? 2 * k : k);
      if constexpr (sizeof(T) == 2) second[r] = left(row + r, 2 * k + 1);
    }
    for (Elems v = 0; v < vectors; ++v) {
      if constexpr (sizeof(T) == 2) {
        const F16 low = low_halves(packed + v * lanes), high = high_halves(packed + v * lanes);
        for (Elems r = 0; r < tile_height; ++r) sum[r][v] = fma(first[r], low, fma(second[r], high, sum[r][v]));
      } else {
        const F16 x = load(packed + v * lanes);
        for (Elems r = 0; r < tile_height; ++r) sum[r][v] = fma(first[r], x, sum[r][v]);
      }
    }
  }

  // One block of the tiles order: a chain over its even and one over its odd k.
  template <Elems vectors>
  HWY_INLINE void add_block(Elems row, Elems first, Elems pairs, const Packed<T>* packed, float* out) const {
    F16 even[tile_height][vectors], odd[tile_height][vectors];
    for (Elems r = 0; r < tile_height; ++r)
      for (Elems v = 0; v < vectors; ++v) even[r][v] = odd[r][v] = set(0);
    for (Elems k = first; k < first + pairs; ++k, packed += b.right_stride)
      for (Elems v = 0; v < vectors; ++v) {
        const F16 low = low_halves(packed + v * lanes), high = high_halves(packed + v * lanes);
        for (Elems r = 0; r < tile_height; ++r) {
          even[r][v] = fma(left(row + r, 2 * k), low, even[r][v]);
          odd[r][v] = fma(left(row + r, 2 * k + 1), high, odd[r][v]);
        }
      }
    for (Elems r = 0; r < tile_height; ++r)
      for (Elems v = 0; v < vectors; ++v) {
        // The zeros that pad a block do one thing to a chain: they turn -0 into 0.
        if (pairs < block_pairs) even[r][v] = even[r][v] + set(0), odd[r][v] = odd[r][v] + set(0);
        float* at = out + r * b.out_stride + v * lanes;
        const F16 before = add || first > 0 ? load(at) : set(0);
        store(at, before + (even[r][v] + odd[r][v]));
      }
  }
  template <Elems vectors>
  HWY_INLINE void run_blocks(Elems row, Elems col) const {
    const Elems pairs = packed_depth<T>(b.depth);
    for (Elems first = 0; first < pairs; first += block_pairs)
      add_block<vectors>(row, first, std::min(block_pairs, pairs - first), b.right + first * b.right_stride + col,
                         b.out + row * b.out_stride + col);
  }

  template <Elems vectors>
  HWY_INLINE void run(Elems row, Elems col) const {
    F16 sum[tile_height][vectors];
    float* out = b.out + row * b.out_stride + col;
    for (Elems r = 0; r < tile_height; ++r)
      for (Elems v = 0; v < vectors; ++v) sum[r][v] = add ? load(out + r * b.out_stride + v * lanes) : set(0);
    const Packed<T>* packed = b.right + col;
    for (Elems k = 0; k < packed_depth<T>(b.depth); ++k, packed += b.right_stride) step<vectors>(row, k, packed, sum);
    for (Elems r = 0; r < tile_height; ++r)
      for (Elems v = 0; v < vectors; ++v) store(out + r * b.out_stride + v * lanes, sum[r][v]);
  }
};

template <typename T, bool add, bool transposed>
HWY_INLINE void all_tiles(const BlockProduct<T>& b) {
  const Tile<T, add, transposed> tile{b};
  Elems col = 0;
  for (; col + tile_vectors * lanes <= b.cols; col += tile_vectors * lanes)
    for (Elems row = 0; row < b.rows; row += tile_height) tile.template run<tile_vectors>(row, col);
  for (; col < b.cols; col += lanes)
    for (Elems row = 0; row < b.rows; row += tile_height) tile.template run<1>(row, col);
}

template <bool add, bool transposed>
HWY_INLINE void all_tiles_in_tiles_order(const BlockProduct<bf16>& b) {
  const Tile<bf16, add, transposed> tile{b};
  Elems col = 0;
  for (; col + chain_vectors * lanes <= b.cols; col += chain_vectors * lanes)
    for (Elems row = 0; row < b.rows; row += tile_height) tile.template run_blocks<chain_vectors>(row, col);
  for (; col < b.cols; col += lanes)
    for (Elems row = 0; row < b.rows; row += tile_height) tile.template run_blocks<1>(row, col);
}

void multiply_in_tiles_order(const BlockProduct<bf16>& b) { all_tiles_in_tiles_order<false, false>(b); }
void add_in_tiles_order(const BlockProduct<bf16>& b) { all_tiles_in_tiles_order<true, false>(b); }
void add_transposed_in_tiles_order(const BlockProduct<bf16>& b) { all_tiles_in_tiles_order<true, true>(b); }

void multiply_bf16_block(const BlockProduct<bf16>& b) { all_tiles<bf16, false, false>(b); }
void multiply_f32_block(const BlockProduct<float>& b) { all_tiles<float, false, false>(b); }
void add_bf16_block(const BlockProduct<bf16>& b) { all_tiles<bf16, true, false>(b); }
void add_f32_block(const BlockProduct<float>& b) { all_tiles<float, true, false>(b); }
void add_transposed_bf16_block(const BlockProduct<bf16>& b) { all_tiles<bf16, true, true>(b); }
void add_transposed_f32_block(const BlockProduct<float>& b) { all_tiles<float, true, true>(b); }

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::cpu {
HWY_EXPORT(multiply_in_tiles_order);
HWY_EXPORT(add_in_tiles_order);
HWY_EXPORT(add_transposed_in_tiles_order);
HWY_EXPORT(multiply_bf16_block);
HWY_EXPORT(multiply_f32_block);
HWY_EXPORT(add_bf16_block);
HWY_EXPORT(add_f32_block);
HWY_EXPORT(add_transposed_bf16_block);
HWY_EXPORT(add_transposed_f32_block);

namespace {

BlockProducts<bf16> products_in_tiles_order() {
  const BlockProducts<bf16> products = {.multiply = HWY_DYNAMIC_DISPATCH(multiply_in_tiles_order),
                                        .add = HWY_DYNAMIC_DISPATCH(add_in_tiles_order),
                                        .add_transposed = HWY_DYNAMIC_DISPATCH(add_transposed_in_tiles_order),
                                        .pack = tile_kernels().pack_bf16,
                                        .group = tiles_block,
                                        .first_depth_step = tiles_block};
  return active_isa() == Isa::amx ? block_products_amx(products) : products;
}

}  // namespace

template <>
BlockProducts<bf16> block_products<bf16>(Elems head_dim, ProductOrder order) {
  if (order == ProductOrder::tiles) return products_in_tiles_order();
  const BlockProducts<bf16> products = {.multiply = HWY_DYNAMIC_DISPATCH(multiply_bf16_block),
                                        .add = HWY_DYNAMIC_DISPATCH(add_bf16_block),
                                        .add_transposed = HWY_DYNAMIC_DISPATCH(add_transposed_bf16_block),
                                        .pack = tile_kernels().pack_bf16};
  return has_avx512_bf16() ? block_products_avx512_bf16(head_dim, products) : products;
}
template <>
BlockProducts<float> block_products<float>(Elems, ProductOrder) {
  return {.multiply = HWY_DYNAMIC_DISPATCH(multiply_f32_block),
          .add = HWY_DYNAMIC_DISPATCH(add_f32_block),
          .add_transposed = HWY_DYNAMIC_DISPATCH(add_transposed_f32_block),
          .pack = tile_kernels().pack_f32};
}

}  // namespace trireme::cpu
#endif
