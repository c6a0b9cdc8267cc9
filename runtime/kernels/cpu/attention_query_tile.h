#pragma once
// Forward attention: one tile of queries against the keys it sees.

#include <algorithm>

#include "runtime/kernels/cpu/attention_products.h"
#include "runtime/kernels/cpu/attention_rows.h"
#include "runtime/kernels/cpu/attention_workspace.h"

namespace trireme::cpu {

// Queries and keys of one block of scores. The number of keys is part of the arithmetic: the online softmax rescales once
// for each block. It is a multiple of the queries, so that every query of a block that is computed sees some of its keys; and of
// the blocks of the tiles order, as the queries are.
inline constexpr Elems softmax_queries = 64, softmax_keys = 192;
static_assert(softmax_keys % softmax_queries == 0 && softmax_queries == panel_cols && softmax_queries % tiles_block == 0);

/// Keys and values of one sequence and key head, packed.
template <typename T>
struct PackedKeys {
  PackedKeys(const AttentionShape& shape, Carved& carve)
      : keys(carve.take<Packed<T>>(align_up(shape.tokens, panel_cols) * packed_depth<T>(shape.head_dim))),
        values(carve.take<Packed<T>>(packed_depth<T>(shape.tokens) * packed_width(shape.head_dim))) {}

  /// Packs the keys [first, first + count) of a head; first is a multiple of panel_cols.
  void pack(const BlockProducts<T>& products, const ConstView& k, const ConstView& v, Elems first, Elems count) const {
    for (Elems key = first; key < first + count; key += panel_cols) {
      const Elems rows = std::min(panel_cols, first + count - key);
      pack_columns(products, k.rows_from(key, rows), keys + key * packed_depth<T>(k.cols));
      pack_rows(products, v.rows_from(key, rows), values + packed_depth<T>(key) * packed_width(v.cols));
    }
  }

  Packed<T>*keys, *values;
};

/// One thread's scratch, and what it does with a tile of queries.
template <typename T>
class QueryTile {
 public:
  QueryTile(const AttentionShape& shape, ProductOrder order, Carved& carve)
      : shape_(shape), stride_(align_up(shape.head_dim, 2)), width_(packed_width(shape.head_dim)),
        queries_(carve.take<T>(softmax_queries * stride_)), scores_(carve.take<float>(softmax_queries * softmax_keys)),
        mixed_(carve.take<float>(softmax_queries * width_)), p_(carve.take<T>(softmax_queries * softmax_keys)),
        products_(block_products<T>(shape.head_dim, order)) {}

  /// Queries [query, query + softmax_queries) of one head: q and out are its columns in the rows of its sequence.
  void run(const PackedKeys<T>& packed, const ConstView& q, const View& out, float* log_sums, Elems query, float scale) {
    std::optional<TileRegisters> tile_registers;
    hold_tile_registers(products_, tile_registers);
    const Elems rows = std::min(softmax_queries, shape_.tokens - query);
    copy_left(q.rows_from(query, rows), stride_, queries_);
    std::fill_n(mixed_, softmax_queries * width_, 0.0f);
    std::fill_n(state_, softmax_queries, SoftmaxState{});
    for (Elems key = 0; key < query + rows; key += softmax_keys)
      run_block({.query = query, .rows = align_up(rows, row_group), .key = key,
                 .keys = std::min(softmax_keys, query + rows - key)}, packed, scale * log2_e);
    float inverse[softmax_queries];
    for (Elems r = 0; r < rows; ++r) inverse[r] = 1.0f / state_[r].sum, log_sums[query + r] = log_sum(state_[r]);
    rows_.store({.rows = mixed_, .width = width_, .factors = inverse, .out = elements<T>(out) + query * out.row_stride,
                 .count = rows, .cols = out.cols, .stride = out.row_stride});
  }

 private:
  struct Block {
    Elems query, rows, key, keys;
    // Keys that the last of `count` queries from `first` on sees.
    Elems seen(Elems first, Elems count) const { return std::min(keys, query + first + count - key); }
  };

  void run_block(const Block& block, const PackedKeys<T>& packed, float scale) {
    const Elems depth = packed_depth<T>(shape_.head_dim);
    // Tiles of queries are as long as panels of keys: every query sees some key of each panel.
    for (Elems col = 0; col < block.keys; col += panel_cols)
      products_.multiply({.rows = block.rows, .cols = panel_cols, .depth = shape_.head_dim, .left = queries_,
                          .left_stride = stride_, .right = packed.keys + (block.key + col) * depth,
                          .right_stride = panel_cols, .out = scores_ + col, .out_stride = softmax_keys});
    rows_.soften({.rows = block.rows, .first_valid = block.query - block.key + 1, .cols = block.keys, .scale = scale,
                  .scores = scores_, .p = p_, .stride = softmax_keys, .state = state_, .mixed = mixed_, .width = width_,
                  .is_first = block.key == 0, .group = products_.group});
    const Packed<T>* values = packed.values + packed_depth<T>(block.key) * width_;
    const Elems group = products_.group;
    if (block.seen(0, group) == block.keys) return add_values(0, block.rows, block.keys, values);
    for (Elems row = 0; row < block.rows; row += group)
      add_values(row, std::min(group, block.rows - row), block.seen(row, group), values);
  }

  void add_values(Elems first, Elems rows, Elems keys, const Packed<T>* values) {
    products_.add({.rows = rows, .cols = width_, .depth = keys, .left = p_ + first * softmax_keys, .left_stride = softmax_keys,
                   .right = values, .right_stride = width_, .out = mixed_ + first * width_, .out_stride = width_});
  }

  const AttentionShape& shape_;
  Elems stride_, width_;
  T* queries_;
  float *scores_, *mixed_;
  T* p_;
  SoftmaxState state_[softmax_queries];
  BlockProducts<T> products_;
  AttentionRows<T> rows_ = attention_rows<T>();
};

}  // namespace trireme::cpu
