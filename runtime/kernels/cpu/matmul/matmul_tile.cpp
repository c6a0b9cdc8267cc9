#include "runtime/kernels/cpu/matmul/matmul_tile.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/matmul/matmul_tile.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <bit>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/matmul/matmul_epilogue.h"
#include "runtime/kernels/cpu/simd/gelu-inl.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

// Rows whose sums fit into the registers next to three loads of b.
constexpr Elems rows_at_once = parts == 1 ? 8 : 2;
constexpr Elems vectors = tile_cols / lanes;

template <typename Step>
HWY_INLINE void multiply_rows(float* tile, bool load_tile, Step step) {
  F16 sum[rows_at_once][vectors];
  for (Elems r = 0; r < rows_at_once; ++r)
    for (Elems v = 0; v < vectors; ++v) sum[r][v] = load_tile ? load(tile + r * tile_cols + v * lanes) : set(0);
  step(sum);
  for (Elems r = 0; r < rows_at_once; ++r)
    for (Elems v = 0; v < vectors; ++v) store(tile + r * tile_cols + v * lanes, sum[r][v]);
}

void multiply_bf16(Elems pairs, const std::uint32_t* a, const std::uint32_t* b, float* tile, bool load_tile) {
  for (Elems first = 0; first < tile_rows; first += rows_at_once)
    multiply_rows(tile + first * tile_cols, load_tile, [&](F16(&sum)[rows_at_once][vectors]) HWY_ATTR {
      for (Elems k = 0; k < pairs; ++k)
        for (Elems v = 0; v < vectors; ++v) {
          const F16 low = low_halves(b + k * tile_cols + v * lanes), high = high_halves(b + k * tile_cols + v * lanes);
          for (Elems r = 0; r < rows_at_once; ++r) {
            const std::uint32_t pair = a[k * tile_rows + first + r];
            const F16 a0 = set(std::bit_cast<float>(pair << 16)), a1 = set(std::bit_cast<float>(pair & 0xffff0000u));
            sum[r][v] = fma(a0, low, fma(a1, high, sum[r][v]));
          }
        }
    });
}

void multiply_f32(Elems depth, const float* a, const float* b, float* tile, bool load_tile) {
  for (Elems first = 0; first < tile_rows; first += rows_at_once)
    multiply_rows(tile + first * tile_cols, load_tile, [&](F16(&sum)[rows_at_once][vectors]) HWY_ATTR {
      for (Elems k = 0; k < depth; ++k)
        for (Elems v = 0; v < vectors; ++v) {
          const F16 right = load(b + k * tile_cols + v * lanes);
          for (Elems r = 0; r < rows_at_once; ++r) sum[r][v] = fma(set(a[k * tile_rows + first + r]), right, sum[r][v]);
        }
    });
}

// Sixteen elements of one row of the product, from their sum to their storage.
template <typename T>
HWY_INLINE void store_lanes(const Matmul& k, F16 x, Elems row, Elems col, Elems end) {
  const Epilogue& e = k.epilogue;
  const auto read = [&](const ConstView& view, Elems r) HWY_ATTR {
    if (view.type == DType::f32) return load_at(view.as<float>() + r * view.row_stride, col, end);
    return load_at(view.as<bf16>() + r * view.row_stride, col, end);
  };
  if (!e.bias.empty()) x = x + read(e.bias, 0);
  if (!e.residual.empty()) x = x + read(e.residual, row);
  if (!e.gelu_pre.empty()) {
    store_at(e.gelu_pre.as<T>() + row * e.gelu_pre.row_stride, x, col, end);
    x = gelu(rounded<T>(x));
  }
  if (!e.gelu_backward_pre.empty()) x = x * gelu_slope(read(e.gelu_backward_pre, row));
  store_at(k.out.as<T>() + row * k.out.row_stride, x, col, end);
}

// The same for whole tiles whose views all have the type of out: what is done is known when it is compiled.
template <typename T, int does>
HWY_INLINE void store_whole(const Matmul& k, const float* tile, Elems row, Elems col, Elems rows) {
  const Epilogue& e = k.epilogue;
  const auto at = [&](const auto& view, Elems r) HWY_ATTR { return view.template as<T>() + r * view.row_stride + col; };
  for (Elems r = 0; r < rows; ++r)
    for (Elems c = 0; c < tile_cols; c += lanes) {
      F16 x = load(tile + r * tile_cols + c);
      if constexpr (does & adds_bias) x = x + load(at(e.bias, 0) + c);
      if constexpr (does & adds_residual) x = x + load(at(e.residual, row + r) + c);
      if constexpr (does & takes_gelu) {
        store(at(e.gelu_pre, row + r) + c, x);
        x = gelu(rounded<T>(x));
      }
      if constexpr (does & times_slope) x = x * gelu_slope(load(at(e.gelu_backward_pre, row + r) + c));
      store(at(k.out, row + r) + c, x);
    }
}

// Whether a whole tile was stored: the epilogues of the models.
template <typename T>
HWY_INLINE bool store_fast(const Matmul& k, const float* tile, Elems row, Elems col, Elems rows) {
  switch (work_of(k.epilogue)) {
    case 0: store_whole<T, 0>(k, tile, row, col, rows); return true;
    case adds_bias: store_whole<T, adds_bias>(k, tile, row, col, rows); return true;
    case adds_residual: store_whole<T, adds_residual>(k, tile, row, col, rows); return true;
    case adds_bias | adds_residual: store_whole<T, adds_bias | adds_residual>(k, tile, row, col, rows); return true;
    case adds_bias | takes_gelu: store_whole<T, adds_bias | takes_gelu>(k, tile, row, col, rows); return true;
    case times_slope: store_whole<T, times_slope>(k, tile, row, col, rows); return true;
    default: return false;
  }
}

void store_product(const Matmul& k, const float* tile, Elems row, Elems col, Elems rows, Elems cols) {
  with_storage(k.out.type, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if (cols == tile_cols && has_one_type(k.epilogue, k.out.type) && store_fast<T>(k, tile, row, col, rows)) return;
    for (Elems r = 0; r < rows; ++r)
      for (Elems c = 0; c < cols; c += lanes)
        store_lanes<T>(k, load(tile + r * tile_cols + c), row + r, col + c, col + cols);
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::cpu {
HWY_EXPORT(multiply_bf16);
HWY_EXPORT(multiply_f32);
HWY_EXPORT(store_product);

namespace {

// Any shape and any steps.
template <typename T, typename Store>
void pack_any(const Panel<T>& p, Elems width, Store store) {
  for (Elems first = 0; first < p.rows; first += width)
    for (Elems k = 0; k < p.depth; k += sizeof(T) == 2 ? 2 : 1)
      for (Elems r = first; r < first + width; ++r) store(r, k);
}

void pack_bf16(const Panel<bf16>& p, Elems width, std::uint32_t* packed) {
  const auto at = [&](Elems r, Elems k) -> std::uint32_t {
    return r < p.rows && k < p.depth ? p.data[r * p.row_step + k * p.k_step].bits : 0;
  };
  pack_any(p, width, [&](Elems r, Elems k) { *packed++ = at(r, k) | at(r, k + 1) << 16; });
}

void pack_f32(const Panel<float>& p, Elems width, float* packed) {
  pack_any(p, width, [&](Elems r, Elems k) { *packed++ = r < p.rows ? p.data[r * p.row_step + k * p.k_step] : 0.0f; });
}

TileKernels chain_kernels() {
  TileKernels kernels = {.pack_bf16 = pack_bf16,
                         .pack_f32 = pack_f32,
                         .multiply_bf16 = HWY_DYNAMIC_DISPATCH(multiply_bf16),
                         .multiply_f32 = HWY_DYNAMIC_DISPATCH(multiply_f32)};
  switch (active_isa()) {
    case Isa::amx:
    case Isa::avx512_bf16: return tile_kernels_avx512_bf16(kernels);
    case Isa::avx512f: kernels.pack_bf16 = pack_bf16_avx512(); return kernels;
    case Isa::avx2:
    case Isa::scalar: return kernels;
  }
  return kernels;
}

}  // namespace

TileKernels tile_kernels(ProductOrder order) {
  TileKernels kernels = chain_kernels();
  if (order == ProductOrder::tiles) kernels.multiply_bf16 = multiply_bf16_in_tiles_order;
  return kernels;
}

void store_tile(const Matmul& k, const float* tile, Elems row, Elems col, Elems rows, Elems cols) {
  HWY_DYNAMIC_DISPATCH(store_product)(k, tile, row, col, rows, cols);
}

}  // namespace trireme::cpu
#endif
