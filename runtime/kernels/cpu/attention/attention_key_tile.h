#pragma once
// Backward attention: one tile of keys against all queries that see it.

#include <algorithm>
#include <cstdint>

#include "runtime/kernels/cpu/attention/attention_query_heads.h"

namespace trireme::cpu {

// Keys and queries of one block of scores, and keys whose scores are computed at a time. No part of the arithmetic but
// in the tiles order, which counts from the first key and query of a block: at multiples of its own blocks, wherever it
// is cut.
inline constexpr Elems key_tile = 64, query_tile = 192, strip_rows = 16;
static_assert(key_tile == query_step && key_tile <= most_transposed_depth && query_tile % panel_cols == 0);
static_assert(key_tile % tiles_block == 0 && query_tile % tiles_block == 0);

/// out = rows * factor, for at most query_step rows.
template <typename T>
void store_rows(const AttentionRows<T>& kernels, const float* rows, Elems width, float factor, const View& out) {
  float factors[query_step];
  std::fill_n(factors, query_step, factor);
  kernels.store({.rows = rows,
                 .width = width,
                 .factors = factors,
                 .out = elements<T>(out),
                 .count = out.rows,
                 .cols = out.cols,
                 .stride = out.row_stride});
}

/// One thread's scratch, and what it does with a tile of keys: dk and dv stay in one accumulator over all query heads.
template <typename T>
class KeyTile {
 public:
  KeyTile(const AttentionShape& shape, ProductOrder order, Carved& carve)
      : shape_(shape),
        stride_(align_up(shape.head_dim, 2)),
        width_(packed_width(shape.head_dim)),
        keys_(carve.take<T>(key_tile * stride_)),
        values_(carve.take<T>(key_tile * stride_)),
        key_rows_(carve.take<Packed<T>>(packed_depth<T>(key_tile) * width_)),
        scores_(carve.take<float>(strip_rows * panel_cols)),
        d_scores_(carve.take<float>(strip_rows * panel_cols)),
        p_(carve.take<T>(key_tile * query_tile)),
        ds_(carve.take<T>(key_tile * query_tile)),
        dk_(carve.take<float>(key_tile * width_)),
        dv_(carve.take<float>(key_tile * width_)),
        products_(block_products<T>(shape.head_dim, order)) {}

  /// k, v, dk, dv: the rows of this key tile and head. log_sums: of the group's first head.
  struct Keys {
    ConstView k, v;
    View dk, dv;
    Elems first = 0;
    const float* log_sums = nullptr;
    const std::int32_t* starts = nullptr;  // of the documents of all queries of the sequence, or null
    float scale = 1;
    bool take_turns = false;  // other threads add to the same dq
  };
  void run(const QueryHeads<T>& heads, const Keys& keys) {
    std::optional<TileRegisters> tile_registers;
    hold_tile_registers(products_, tile_registers);
    copy_left(keys.k, stride_, keys_);
    copy_left(keys.v, stride_, values_);
    pack_rows(products_, keys.k, key_rows_);
    std::fill_n(dk_, key_tile * width_, 0.0f);
    std::fill_n(dv_, key_tile * width_, 0.0f);
    const Elems end = find_ends(keys);
    for (Elems g = 0; g < heads.group; ++g)
      for (Elems query = keys.first; query < end; query += query_tile)
        run_block({.head = g,
                   .query = query,
                   .queries = std::min(query_tile, end - query),
                   .key = keys.first,
                   .keys = keys.k.rows},
                  heads, keys);
    store_rows(rows_, dk_, width_, keys.scale, keys.dk);
    store_rows(rows_, dv_, width_, 1.0f, keys.dv);
  }

 private:
  struct Block {
    Elems head, query, queries, key, keys;
    Elems rows() const { return align_up(keys, row_group); }
    bool on_diagonal() const { return query < key + keys - 1; }
  };

  // Where the documents of the keys end: no query from there on sees them. Returns the last.
  Elems find_ends(const Keys& keys) {
    if (!keys.starts) return shape_.tokens;
    const std::int32_t* const after = keys.starts + shape_.tokens;
    for (Elems row = 0; row < keys.k.rows; ++row)
      ends_[row] = static_cast<std::int32_t>(std::upper_bound(keys.starts, after, keys.first + row) - keys.starts);
    return ends_[keys.k.rows - 1];
  }

  void run_block(const Block& block, const QueryHeads<T>& heads, const Keys& keys) {
    const Elems at = block.head * heads.tokens + block.query;
    for (Elems col = 0; col < block.queries; col += panel_cols)
      for (Elems row = 0; row < block.rows(); row += strip_rows) run_strip(block, heads, keys, row, col);
    add_over_queries(block, p_, heads.d_out_rows + packed_depth<T>(at) * width_, dv_);
    add_over_queries(block, ds_, heads.query_rows + packed_depth<T>(at) * width_, dk_);
    const int index = static_cast<int>(block.key / key_tile);
    if (keys.take_turns) heads.await_turn(at, block.queries, index);
    add_over_keys(block, heads.dq + at * width_);
    if (keys.take_turns) heads.pass_turn(at, block.queries, index);
  }

  // Probabilities and gradients of a few keys and one panel of queries, while their scores are in the nearest cache.
  void run_strip(const Block& block, const QueryHeads<T>& heads, const Keys& keys, Elems row, Elems col) {
    const Elems at = block.head * heads.tokens + block.query + col, rows = std::min(strip_rows, block.rows() - row);
    multiply(rows, keys_ + row * stride_, heads.query_columns + at * heads.depth, scores_);
    multiply(rows, values_ + row * stride_, heads.d_out_columns + at * heads.depth, d_scores_);
    rows_.gradients({.rows = rows,
                     .valid_rows = std::clamp<Elems>(block.keys - row, 0, rows),
                     .cols = std::min(panel_cols, block.queries - col),
                     .diagonal = block.query + col - block.key - row,
                     .scale = keys.scale * log2_e,
                     .scores = scores_,
                     .d_probabilities = d_scores_,
                     .scores_stride = panel_cols,
                     .p = p_ + row * query_tile + col,
                     .ds = ds_ + row * query_tile + col,
                     .stride = query_tile,
                     .log_sum_exp = keys.log_sums + block.head * shape_.tokens + block.query + col,
                     .delta = heads.delta + at,
                     .ends = keys.starts ? ends_ + row : nullptr,
                     .query = block.query + col});
  }

  void multiply(Elems rows, const T* left, const Packed<T>* right, float* out) {
    products_.multiply({.rows = rows,
                        .cols = panel_cols,
                        .depth = shape_.head_dim,
                        .left = left,
                        .left_stride = stride_,
                        .right = right,
                        .right_stride = panel_cols,
                        .out = out,
                        .out_stride = panel_cols});
  }

  // On the diagonal, the first queries of the block do not see the last keys: groups of keys start at their own.
  void add_over_queries(const Block& block, const T* left, const Packed<T>* right, float* sums) {
    const Elems step = block.on_diagonal() ? products_.group : block.rows();
    for (Elems row = 0; row < block.rows(); row += step) {
      const Elems first = std::clamp<Elems>(block.key + row - block.query, 0, block.queries) / 2 * 2;
      products_.add({.rows = std::min(step, block.rows() - row),
                     .cols = width_,
                     .depth = block.queries - first,
                     .left = left + row * query_tile + first,
                     .left_stride = query_tile,
                     .right = right + packed_depth<T>(first) * width_,
                     .right_stride = width_,
                     .out = sums + row * width_,
                     .out_stride = width_});
    }
  }

  void add_over_keys(const Block& block, float* dq) {
    const Elems rows = align_up(block.queries, 16),
                step = block.on_diagonal() ? std::max<Elems>(products_.group, 16) : rows;
    for (Elems row = 0; row < rows; row += step) {
      const Elems seen = std::min(block.keys, block.query + row + step - block.key);
      products_.add_transposed({.rows = std::min(step, rows - row),
                                .cols = width_,
                                .depth = seen,
                                .left = ds_ + row,
                                .left_stride = query_tile,
                                .right = key_rows_,
                                .right_stride = width_,
                                .out = dq + row * width_,
                                .out_stride = width_});
    }
  }

  const AttentionShape& shape_;
  Elems stride_, width_;
  T *keys_, *values_;
  Packed<T>* key_rows_;
  float *scores_, *d_scores_;
  T *p_, *ds_;
  float *dk_, *dv_;
  std::int32_t ends_[key_tile];
  BlockProducts<T> products_;
  AttentionRows<T> rows_ = attention_rows<T>();
};

}  // namespace trireme::cpu
