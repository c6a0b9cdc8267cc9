#include "runtime/kernels/matmul.h"

#include <algorithm>
#include <type_traits>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/matmul/matmul_amx.h"
#include "runtime/kernels/cpu/matmul/matmul_tile.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

// A panel of 8 rows of this depth stays in the first-level cache, panels of b stream from the second.
constexpr Elems deepest = 3072;
constexpr Elems block_rows = 128, block_cols = 96;
// Blocks are cut smaller for threads, in steps of as many rows as are packed at once.
constexpr Elems block_rows_step = 32, block_cols_step = tile_cols;

/// How K is cut: parts of equal depth, even, at most `deepest`.
Elems part_depth(Elems k) {
  const Elems count = ceil_div(k, deepest);
  return align_up(ceil_div(k, count), 32);
}

/// A block of at most `largest` of `count`, a multiple of `step`, that leaves the busiest thread least to do.
Elems balanced_block(Elems count, Elems largest, Elems step, int threads) {
  const auto work = [&](Elems block) { return ceil_div(ceil_div(count, block), threads) * block; };
  Elems best = largest;
  for (Elems block = largest - step; block > 0; block -= step)
    if (work(block) < work(best)) best = block;
  return best;
}

/// Sizes of one product and of what its workspace holds.
struct Layout {
  Elems m, n, k;
  Elems depth;          // of one part of K
  bool a_is_small;      // the operand that is packed whole
  Bytes element_bytes;  // of a packed element

  Layout(Elems rows, Elems cols, Elems inner, DType type)
      : m(rows),
        n(cols),
        k(inner),
        depth(part_depth(inner)),
        a_is_small(rows <= cols),
        element_bytes(size_bytes(type)) {}

  bool is_split() const { return k > depth; }
  Elems small_rows() const { return a_is_small ? align_up(m, tile_rows) : align_up(n, tile_cols); }
  Elems largest_block() const { return a_is_small ? block_cols : block_rows; }
  Elems block(int threads) const {
    return balanced_block(others(), largest_block(), a_is_small ? block_cols_step : block_rows_step, threads);
  }
  Elems others() const { return a_is_small ? n : m; }
  Bytes small_bytes() const { return align_up(small_rows() * depth * element_bytes, 64); }
  Bytes block_bytes() const { return align_up(largest_block() * depth * element_bytes, 64); }
  Bytes sums_bytes() const {
    return is_split() ? align_up(m, tile_rows) * align_up(n, tile_cols) * static_cast<Bytes>(sizeof(float)) : 0;
  }
};

template <typename T>
class Product {
 public:
  using Packed = std::conditional_t<sizeof(T) == 2, std::uint32_t, float>;

  explicit Product(const Matmul& k)
      : k_(k),
        at_(k.out.rows, k.out.cols, k.a_transposed ? k.a.rows : k.a.cols, k.a.type),
        kernels_(tile_kernels(k.order)),
        multiply_and_store_(multiply_and_store(k)) {
    auto* workspace = static_cast<std::byte*>(k.workspace.data);
    small_ = reinterpret_cast<Packed*>(workspace);
    blocks_ = workspace + at_.small_bytes();
    sums_ = reinterpret_cast<float*>(blocks_ + kernel_threads() * at_.block_bytes());
  }

  void run() {
    for (Elems first = 0; first < at_.k; first += at_.depth) {
      const Elems depth = std::min(at_.depth, at_.k - first);
      pack_small(first, depth);
      for_each_block(at_.others(), at_.block(kernel_threads()), [&](Elems begin, Elems end, int thread) {
        auto* block = reinterpret_cast<Packed*>(blocks_ + thread * at_.block_bytes());
        pack_block(begin, end, first, depth, block);
        if (at_.a_is_small)
          multiply({0, at_.m}, {begin, end}, small_, block, first, depth);
        else
          multiply({begin, end}, {0, at_.n}, block, small_, first, depth);
      });
    }
  }

 private:
  struct Span {
    Elems begin, end;
  };

  // Elements of a packed panel of `width` rows.
  static Elems panel_elems(Elems width, Elems depth) {
    return sizeof(T) == 2 ? width * ceil_div(depth, 2) : width * depth;
  }

  void pack_a(Span rows, Elems first, Elems depth, Packed* packed) const {
    const Elems stride = k_.a.row_stride, count = rows.end - rows.begin;
    const T* a = k_.a.template as<T>();
    if (k_.a_transposed)
      pack({a + first * stride + rows.begin, count, depth, 1, stride}, tile_rows, packed);
    else
      pack({a + rows.begin * stride + first, count, depth, stride, 1}, tile_rows, packed);
  }
  void pack_b(Span cols, Elems first, Elems depth, Packed* packed) const {
    const Elems stride = k_.b.row_stride, count = cols.end - cols.begin;
    const T* b = k_.b.template as<T>();
    if (k_.b_transposed)
      pack({b + cols.begin * stride + first, count, depth, stride, 1}, tile_cols, packed);
    else
      pack({b + first * stride + cols.begin, count, depth, 1, stride}, tile_cols, packed);
  }
  void pack(const Panel<T>& panel, Elems width, Packed* packed) const {
    if constexpr (sizeof(T) == 2)
      kernels_.pack_bf16(panel, width, packed);
    else
      kernels_.pack_f32(panel, width, packed);
  }
  void pack_small(Elems first, Elems depth) {
    if (at_.a_is_small) {
      for_each_block(at_.m, block_rows_step, [&](Elems begin, Elems end, int) {
        pack_a({begin, end}, first, depth, small_ + begin / tile_rows * panel_elems(tile_rows, depth));
      });
    } else {
      for_each_block(at_.n, block_cols_step, [&](Elems begin, Elems end, int) {
        pack_b({begin, end}, first, depth, small_ + begin / tile_cols * panel_elems(tile_cols, depth));
      });
    }
  }
  void pack_block(Elems begin, Elems end, Elems first, Elems depth, Packed* packed) const {
    if (at_.a_is_small)
      pack_b({begin, end}, first, depth, packed);
    else
      pack_a({begin, end}, first, depth, packed);
  }

  // Columns in blocks, so that the panels of b that a block of rows meets again and again stay in the second-level
  // cache.
  void multiply(Span rows, Span cols, const Packed* a, const Packed* b, Elems first, Elems depth) const {
    const Elems a_elems = panel_elems(tile_rows, depth), b_elems = panel_elems(tile_cols, depth);
    for (Elems block = cols.begin; block < cols.end; block += block_cols)
      for (Elems row = rows.begin; row < rows.end; row += tile_rows)
        for (Elems col = block; col < std::min(cols.end, block + block_cols); col += tile_cols)
          multiply_tile(row, col, a + (row - rows.begin) / tile_rows * a_elems,
                        b + (col - cols.begin) / tile_cols * b_elems, first, depth);
  }

  void multiply_tile(Elems row, Elems col, const Packed* a, const Packed* b, Elems first, Elems depth) const {
    // Where K is split the tile rests in the workspace between its parts: storing f32 is exact.
    const Elems place = row / tile_rows * ceil_div(at_.n, tile_cols) + col / tile_cols;
    float* const between = at_.is_split() ? sums_ + place * tile_rows * tile_cols : nullptr;
    const bool is_last = first + depth == at_.k, is_whole = row + tile_rows <= at_.m && col + tile_cols <= at_.n;
    if constexpr (sizeof(T) == 2) {
      if (is_last && is_whole && multiply_and_store_) {
        WholeTile tile{ceil_div(depth, 2), a, b, nullptr, tile_cols, row, col};
        if (first > 0)
          tile.start = between;
        else if (k_.epilogue.accumulate)
          tile.start = out_at(row, col), tile.start_stride = k_.out.row_stride;
        return multiply_and_store_(k_, tile);
      }
    }
    alignas(64) float scratch[tile_rows * tile_cols];
    float* const tile = between ? between : scratch;
    const Elems valid_rows = std::min(tile_rows, at_.m - row), valid_cols = std::min(tile_cols, at_.n - col);
    const bool starts_from_out = first == 0 && k_.epilogue.accumulate;
    if (starts_from_out) load_out(tile, row, col, valid_rows, valid_cols);
    const bool load = first > 0 || starts_from_out;
    if (is_last) prefetch_epilogue(row, col, valid_rows);
    if constexpr (sizeof(T) == 2)
      kernels_.multiply_bf16(ceil_div(depth, 2), a, b, tile, load);
    else
      kernels_.multiply_f32(depth, a, b, tile, load);
    if (is_last) store_tile(k_, tile, row, col, valid_rows, valid_cols);
  }

  // What the epilogue will read comes while the tile is multiplied.
  void prefetch_epilogue(Elems row, Elems col, Elems rows) const {
    for (const ConstView& view : {k_.epilogue.residual, k_.epilogue.gelu_backward_pre}) {
      if (view.empty()) continue;
      const Bytes width = size_bytes(view.type);
      for (Elems r = 0; r < rows; ++r) {
        const std::byte* at = static_cast<const std::byte*>(view.data) + ((row + r) * view.row_stride + col) * width;
        for (Bytes byte = 0; byte < tile_cols * width; byte += 64) __builtin_prefetch(at + byte);
      }
    }
  }

  const float* out_at(Elems row, Elems col) const {
    return static_cast<const float*>(k_.out.data) + row * k_.out.row_stride + col;
  }

  void load_out(float* tile, Elems row, Elems col, Elems rows, Elems cols) const {
    std::fill_n(tile, tile_rows * tile_cols, 0.0f);
    for (Elems r = 0; r < rows; ++r) std::copy_n(out_at(row + r, col), cols, tile + r * tile_cols);
  }

  const Matmul& k_;
  Layout at_;
  TileKernels kernels_;
  MultiplyAndStore multiply_and_store_;
  Packed* small_;
  std::byte* blocks_;
  float* sums_;
};

void check_epilogue(const Matmul& k) {
  const Epilogue& e = k.epilogue;
  for (const ConstView& view : {ConstView(k.out), e.bias, e.residual, ConstView(e.gelu_pre), e.gelu_backward_pre})
    ensure(view.empty() || view.type == DType::bf16 || view.type == DType::f32,
           "a product stores and reads bf16 or f32, not {}", name(view.type));
  if (!e.bias.empty()) check_vector("matmul: bias", e.bias, e.bias.type, k.out.cols);
  for (const ConstView& view : {e.residual, e.gelu_backward_pre})
    if (!view.empty()) check_matrix("matmul: residual or gelu_backward_pre", view, view.type, k.out.rows, k.out.cols);
  if (!e.gelu_pre.empty()) check_matrix("matmul: gelu_pre", e.gelu_pre, k.out.type, k.out.rows, k.out.cols);
  ensure(!e.accumulate || k.out.type == DType::f32, "a chain goes on only in f32");
}

void check_shapes(const Matmul& k) {
  const Elems m = k.a_transposed ? k.a.cols : k.a.rows, depth = k.a_transposed ? k.a.rows : k.a.cols;
  const Elems n = k.b_transposed ? k.b.rows : k.b.cols, depth_b = k.b_transposed ? k.b.cols : k.b.rows;
  ensure(depth == depth_b && m == k.out.rows && n == k.out.cols, "product of [{},{}] and [{},{}] into [{},{}]", m,
         depth, depth_b, n, k.out.rows, k.out.cols);
  ensure(k.a.type == k.b.type, "product of {} and {}", name(k.a.type), name(k.b.type));
  ensure(k.order == ProductOrder::chain || k.a.type == DType::bf16,
         "the tiles order is one of bf16 products, not of {}", name(k.a.type));
  ensure(m > 0 && n > 0 && depth > 0, "product of [{},{}] and [{},{}]: there is nothing to add", m, depth, depth, n);
  const Bytes needed = matmul_workspace_bytes(m, n, depth, k.a.type, kernel_threads(), k.order);
  ensure(k.workspace.bytes() >= needed, "a product needs {} bytes of workspace and got {}", needed,
         k.workspace.bytes());
}

}  // namespace

void matmul(const Matmul& k) {
  check_shapes(k);
  check_epilogue(k);
  if (k.order == ProductOrder::tiles && active_isa() == Isa::amx) return matmul_amx(k);
  with_type(k.a.type, [&](auto type) { Product<decltype(type)>(k).run(); });
}

Bytes matmul_workspace_bytes(Elems m, Elems n, Elems k, DType type, int threads, ProductOrder order) {
  const Layout at(m, n, k, type);
  const Bytes bytes = at.small_bytes() + threads * at.block_bytes() + at.sums_bytes();
  // Plans do not depend on the CPU: room for whichever kernels will run.
  return order == ProductOrder::tiles ? std::max(bytes, matmul_amx_workspace_bytes(m, n, k, threads)) : bytes;
}

}  // namespace trireme
