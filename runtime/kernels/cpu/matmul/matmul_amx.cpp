#include "runtime/kernels/cpu/matmul/matmul_amx.h"

#include <algorithm>
#include <numeric>

#include "runtime/kernels/cpu/simd/amx_tiles.h"
#include "runtime/kernels/cpu/threads.h"

namespace trireme::cpu {
namespace {

// One unit of rows by one of columns is multiplied at a time: two tiles of 48 columns, which store_tile() takes.
constexpr Elems row_unit = amx_panel_rows, col_unit = 2 * tile_cols;
constexpr Elems unit_sums = row_unit * col_unit;

/// How a product is cut. One operand, the `inner`, is packed by blocks that stay in the second-level cache; units of
/// the other stream past. K is cut only where it is long: then sums of a block rest in the workspace between its parts.
struct Cut {
  static constexpr Elems longest = 3072, short_part = 768;
  static constexpr Elems block_elems = 640 * 1024, split_block = 384, split_piece = 512;

  Elems m, n, k;
  bool a_is_inner;
  Elems depth;  // of one part of K
  Elems block;  // rows or columns of a block of the inner operand
  Elems piece;  // of the outer operand that one task takes

  Cut(Elems rows, Elems cols, Elems inner, bool inner_is_a, int threads)
      : m(rows), n(cols), k(inner), a_is_inner(inner_is_a) {
    const Elems parts = k > longest ? ceil_div(k, short_part) : 1;
    depth = align_up(ceil_div(k, parts), amx_block_k);
    const Elems most =
        is_split() ? split_block : std::max(inner_unit(), block_elems / depth / inner_unit() * inner_unit());
    block = even_part(inner_size(), most, inner_unit());
    // As few pieces as give every thread as many tasks as the others.
    const Elems wanted = threads / std::gcd<Elems, Elems>(blocks(), threads);
    piece = even_part(outer_size(), std::max(outer_unit(), ceil_div(outer_size(), wanted)), outer_unit());
    if (is_split()) piece = std::min(piece, even_part(outer_size(), split_piece, outer_unit()));
  }

  bool is_split() const { return k > depth; }
  Elems inner_size() const { return a_is_inner ? m : n; }
  Elems outer_size() const { return a_is_inner ? n : m; }
  Elems inner_unit() const { return a_is_inner ? row_unit : col_unit; }
  Elems outer_unit() const { return a_is_inner ? col_unit : row_unit; }
  Elems blocks() const { return ceil_div(inner_size(), block); }
  Elems pieces() const { return ceil_div(outer_size(), piece); }

  Bytes block_bytes() const { return block * depth * size_bytes(DType::bf16); }
  Bytes unit_bytes() const { return outer_unit() * depth * size_bytes(DType::bf16); }
  Bytes sums_bytes() const { return is_split() ? block * piece * size_bytes(DType::f32) : 0; }
  Bytes thread_bytes() const { return block_bytes() + unit_bytes() + sums_bytes(); }

 private:
  // Equal parts of at most `most`, rounded up to whole units.
  static Elems even_part(Elems size, Elems most, Elems unit) {
    return align_up(ceil_div(size, ceil_div(size, std::max(most, unit))), unit);
  }
};

/// Asks for the lines of a matrix one after the other, long before they are needed: a miss costs as much as five
/// blocks.
class LinesAhead {
 public:
  void begin(const ConstView& x) {
    at_ = static_cast<const std::byte*>(x.data);
    stride_ = x.row_stride * size_bytes(x.type), row_bytes_ = x.cols * size_bytes(x.type);
    rows_left_ = x.empty() ? 0 : x.rows, byte_ = 0;
  }
  void step(Elems lines) {
    for (Elems i = 0; i < lines && rows_left_ > 0; ++i) {
      __builtin_prefetch(at_ + byte_, 0, 2);
      byte_ += 64;
      if (byte_ >= row_bytes_) byte_ = 0, at_ += stride_, --rows_left_;
    }
  }

 private:
  const std::byte* at_ = nullptr;
  Bytes stride_ = 0, row_bytes_ = 0, byte_ = 0;
  Elems rows_left_ = 0;
};

/// Stores finished units row by row, so that it can be done while the tile registers work on the next one.
class LateStore {
 public:
  explicit LateStore(const Matmul& k) : k_(k) {}

  /// Takes over a unit of sums, [2 halves][32][48], and needs it until the next begin() or finish().
  void begin(const float* unit, Elems row, Elems col) {
    finish();
    unit_ = unit, row_ = row, col_ = col, at_ = 0;
    rows_ = std::min(row_unit, k_.out.rows - row);
    count_ = col + tile_cols < k_.out.cols ? 2 * rows_ : rows_;
  }
  /// A few rows of one half.
  void step() {
    if (at_ == count_) return;
    const Elems half = at_ / rows_, r = at_ % rows_, rows = std::min<Elems>(rows_ - r, 2),
                col = col_ + half * tile_cols;
    store_tile(k_, unit_ + (half * row_unit + r) * tile_cols, row_ + r, col, rows,
               std::min(tile_cols, k_.out.cols - col));
    at_ += rows;
  }
  void finish() {
    while (at_ < count_) step();
  }

 private:
  const Matmul& k_;
  const float* unit_ = nullptr;
  Elems row_ = 0, col_ = 0, rows_ = 0, at_ = 0, count_ = 0;
};

// sums[32][32] += a b over `blocks` blocks of K; `between` runs after each. The columns are two tiles, at `left` and
// `right`.
template <typename Between>
void multiply_panels(Elems blocks, const bf16* a, const bf16* b, float* left, float* right, bool load,
                     Between between) {
  constexpr Bytes row = 64, stride = tile_cols * size_bytes(DType::f32);
  constexpr Elems tile = 16 * amx_block_k, below = 16 * tile_cols;
  if (load) {
    tile_load<0>(left, stride), tile_load<1>(right, stride);
    tile_load<2>(left + below, stride), tile_load<3>(right + below, stride);
  } else {
    tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  }
  for (Elems i = 0; i < blocks; ++i, a += 2 * tile, b += 2 * tile) {
    tile_load<6>(b, row), tile_load<4>(a, row), tile_load<7>(b + tile, row);
    tile_multiply<0, 4, 6>(), tile_multiply<1, 4, 7>();
    tile_load<5>(a + tile, row);
    tile_multiply<2, 5, 6>(), tile_multiply<3, 5, 7>();
    between();
  }
  tile_store<0>(left, stride), tile_store<1>(right, stride);
  tile_store<2>(left + below, stride), tile_store<3>(right + below, stride);
}

/// What one thread does: blocks of the inner operand by pieces of the outer one.
class Worker {
 public:
  Worker(const Matmul& k, const Cut& cut, std::byte* memory)
      : k_(k),
        cut_(cut),
        late_(k),
        block_(reinterpret_cast<bf16*>(memory)),
        unit_(reinterpret_cast<bf16*>(memory + cut.block_bytes())),
        sums_(reinterpret_cast<float*>(memory + cut.block_bytes() + cut.unit_bytes())) {}

  /// Tasks [begin, end), counted piece after piece of the first block, then of the second.
  void run(Elems begin, Elems end) {
    const TileRegisters tiles;
    for (Elems task = begin; task < end; ++task)
      run(span(task / cut_.pieces(), cut_.block, cut_.inner_size()),
          span(task % cut_.pieces(), cut_.piece, cut_.outer_size()));
    late_.finish();
  }

 private:
  struct Span {
    Elems begin, end;
  };
  static Span span(Elems index, Elems size, Elems all) { return {index * size, std::min(all, (index + 1) * size)}; }

  void run(Span inner, Span outer) {
    for (Elems first = 0; first < cut_.k; first += cut_.depth) {
      const Part part{first, std::min(cut_.depth, cut_.k - first), first + cut_.depth >= cut_.k};
      pack_block(inner, part);
      for (Elems at = outer.begin; at < outer.end; at += cut_.outer_unit()) {
        pack(!cut_.a_is_inner, {at, std::min(outer.end, at + cut_.outer_unit())}, part, unit_);
        expect_unit({at + cut_.outer_unit(), std::min(outer.end, at + 2 * cut_.outer_unit())}, part);
        multiply(inner, at, part, sums_ + (at - outer.begin) * cut_.block);
      }
    }
  }

  /// A part of K.
  struct Part {
    Elems first, depth;
    bool is_last;
  };

  // Unless it still lies there from the task before.
  void pack_block(Span inner, const Part& part) {
    if (packed_begin_ == inner.begin && packed_first_ == part.first) return;
    pack(cut_.a_is_inner, inner, part, block_);
    packed_begin_ = inner.begin, packed_first_ = part.first;
  }
  // Panels of 32 rows of a, or 32 columns of b, up to whole units.
  void pack(bool is_a, Span span, const Part& part, bf16* packed) const {
    const Elems count = span.end - span.begin;
    if (is_a)
      pack_amx_a(panel(k_.a, k_.a_transposed, span, part), align_up(count, row_unit), packed);
    else
      pack_amx_b(panel(k_.b, !k_.b_transposed, span, part), align_up(count, col_unit), packed);
  }
  // `across`: k runs down the rows of x.
  static Panel<bf16> panel(const ConstView& x, bool across, Span span, const Part& part) {
    const bf16* const data = x.as<bf16>();
    const Elems rows = span.end - span.begin;
    if (across) return {data + part.first * x.row_stride + span.begin, rows, part.depth, 1, x.row_stride};
    return {data + span.begin * x.row_stride + part.first, rows, part.depth, x.row_stride, 1};
  }

  // The unit that will be packed next.
  void expect_unit(Span span, const Part& part) {
    if (span.begin >= span.end) return source_.begin({});
    const bool across = cut_.a_is_inner ? !k_.b_transposed : k_.a_transposed;
    const Panel<bf16> p = panel(cut_.a_is_inner ? k_.b : k_.a, across, span, part);
    if (across)
      source_.begin({p.data, DType::bf16, p.depth, p.rows, p.k_step});
    else
      source_.begin({p.data, DType::bf16, p.rows, p.depth, p.row_step});
    // Spread over the blocks until then, each 64 x 64 bytes of products.
    source_lines_ = ceil_div(cut_.outer_unit() * 6, cut_.block) + 1;
  }
  // What storing the unit at (row, col) will touch.
  void expect_store(Elems row, Elems col) {
    const auto part = [&](const ConstView& x) {
      return x.empty()
                 ? x
                 : x.rows_from(row, std::min(row_unit, cut_.m - row)).cols_from(col, std::min(col_unit, cut_.n - col));
    };
    const Epilogue& e = k_.epilogue;
    out_.begin(part(k_.out));
    other_.begin(part(!e.residual.empty()   ? e.residual
                      : !e.gelu_pre.empty() ? ConstView(e.gelu_pre)
                                            : e.gelu_backward_pre));
  }
  // What is done while the tile registers work on a block.
  void between() {
    source_.step(source_lines_);
    out_.step(2);
    other_.step(2);
    late_.step();
  }

  // The packed unit of the outer operand, at `at`, with every unit of the block. `sums`: of these units.
  void multiply(Span inner, Elems at, const Part& part, float* sums) {
    const bf16* block = block_;
    for (Elems in = inner.begin; in < inner.end; in += cut_.inner_unit(), sums += unit_sums) {
      if (cut_.a_is_inner)
        multiply_unit(in, at, part, block, unit_, sums);
      else
        multiply_unit(at, in, part, unit_, block, sums);
      block += cut_.inner_unit() / amx_panel_rows * amx_panel_elems(part.depth);
    }
  }

  void multiply_unit(Elems row, Elems col, const Part& part, const bf16* a, const bf16* b, float* sums) {
    float* const unit = cut_.is_split() ? sums : scratch_[turn_ ^= 1];
    const bool starts_from_out = part.first == 0 && k_.epilogue.accumulate;
    if (starts_from_out) load_out(unit, row, col);
    const auto tile_at = [unit](Elems tile) { return unit + tile / 3 * row_unit * tile_cols + tile % 3 * 16; };
    if (part.is_last) expect_store(row, col);
    for (Elems tile = 0; tile < 6 && col + 16 * tile < cut_.n; tile += 2, b += amx_panel_elems(part.depth))
      multiply_panels(ceil_div(part.depth, amx_block_k), a, b, tile_at(tile), tile_at(tile + 1),
                      part.first > 0 || starts_from_out, [this] { between(); });
    if (part.is_last) late_.begin(unit, row, col);
  }

  void load_out(float* unit, Elems row, Elems col) const {
    std::fill_n(unit, unit_sums, 0.0f);
    for (Elems r = 0; r < std::min(row_unit, cut_.m - row); ++r)
      for (Elems half = 0; half < 2 && col + half * tile_cols < cut_.n; ++half)
        std::copy_n(k_.out.as<float>() + (row + r) * k_.out.row_stride + col + half * tile_cols,
                    std::min(tile_cols, cut_.n - col - half * tile_cols), unit + (half * row_unit + r) * tile_cols);
  }

  const Matmul& k_;
  const Cut& cut_;
  LateStore late_;
  LinesAhead source_, out_, other_;
  Elems source_lines_ = 0;
  Elems packed_begin_ = -1, packed_first_ = -1;  // what block_ holds
  bf16 *block_, *unit_;
  float* sums_;
  alignas(64) float scratch_[2][unit_sums];  // one is filled while the other is stored
  int turn_ = 0;
};

}  // namespace

// The operand that is dear to pack is packed once per block: a where it must be transposed.
void matmul_amx(const Matmul& k) {
  const Cut cut(k.out.rows, k.out.cols, k.a_transposed ? k.a.rows : k.a.cols, k.a_transposed, kernel_threads());
  const Elems tasks = cut.blocks() * cut.pieces();
  for_each_block(tasks, ceil_div(tasks, kernel_threads()), [&](Elems begin, Elems end, int thread) {
    Worker(k, cut, static_cast<std::byte*>(k.workspace.data) + thread * cut.thread_bytes()).run(begin, end);
  });
}

Bytes matmul_amx_workspace_bytes(Elems m, Elems n, Elems k, int threads) {
  return threads * std::max(Cut(m, n, k, true, threads).thread_bytes(), Cut(m, n, k, false, threads).thread_bytes());
}

}  // namespace trireme::cpu
