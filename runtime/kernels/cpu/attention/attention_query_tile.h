#pragma once
// Forward attention: one tile of queries against the keys it sees.

#include <algorithm>
#include <cstdint>

#include "runtime/kernels/cpu/attention/attention_products.h"
#include "runtime/kernels/cpu/attention/attention_rows.h"
#include "runtime/kernels/cpu/attention/attention_workspace.h"

namespace trireme::cpu {

// Queries and keys of one block of scores. The number of keys is part of the arithmetic: the online softmax rescales
// once for each block. It is a multiple of the queries, so that every query of a block that is computed sees some of
// its keys; and of the blocks of the tiles order, as the queries are.
inline constexpr Elems softmax_queries = 64, softmax_keys = 192;
static_assert(softmax_keys % softmax_queries == 0 && softmax_queries == panel_cols &&
              softmax_queries % tiles_block == 0);

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
      : shape_(shape),
        stride_(align_up(shape.head_dim, 2)),
        width_(packed_width(shape.head_dim)),
        queries_(carve.take<T>(softmax_queries * stride_)),
        scores_(carve.take<float>(softmax_queries * softmax_keys)),
        mixed_(carve.take<float>(softmax_queries * width_)),
        p_(carve.take<T>(softmax_queries * softmax_keys)),
        products_(block_products<T>(shape.head_dim, order)) {}

  /// Queries [first, first + softmax_queries) of one head: q and out are its columns in the rows of its sequence.
  /// starts: of the documents of all queries of the sequence, or null.
  struct Queries {
    ConstView q;
    View out;
    float* log_sums = nullptr;
    Elems first = 0;
    const std::int32_t* starts = nullptr;
    float scale = 1;
  };
  void run(const PackedKeys<T>& packed, const Queries& queries) {
    std::optional<TileRegisters> tile_registers;
    hold_tile_registers(products_, tile_registers);
    const Elems query = queries.first, rows = std::min(softmax_queries, shape_.tokens - query);
    copy_left(queries.q.rows_from(query, rows), stride_, queries_);
    copy_starts(queries, rows);
    std::fill_n(mixed_, softmax_queries * width_, 0.0f);
    std::fill_n(state_, softmax_queries, SoftmaxState{});
    // Blocks of keys that lie before the documents of all queries are left out.
    const Elems first_key = starts_[0] / softmax_keys * softmax_keys;
    for (Elems key = first_key; key < query + rows; key += softmax_keys)
      run_block({.query = query,
                 .rows = align_up(rows, row_group),
                 .key = key,
                 .keys = std::min(softmax_keys, query + rows - key),
                 .is_first = key == first_key},
                packed, queries.scale * log2_e);
    float inverse[softmax_queries];
    for (Elems r = 0; r < rows; ++r)
      inverse[r] = 1.0f / state_[r].sum, queries.log_sums[query + r] = log_sum(state_[r]);
    rows_.store({.rows = mixed_,
                 .width = width_,
                 .factors = inverse,
                 .out = elements<T>(queries.out) + query * queries.out.row_stride,
                 .count = rows,
                 .cols = queries.out.cols,
                 .stride = queries.out.row_stride});
  }

 private:
  struct Block {
    Elems query, rows, key, keys;
    bool is_first;
    // Keys that the last of `count` queries from `first` on sees.
    Elems seen(Elems first, Elems count) const { return std::min(keys, query + first + count - key); }
  };

  // Rows of the last group that are no queries see what the last query sees.
  void copy_starts(const Queries& queries, Elems rows) {
    has_documents_ = queries.starts && queries.starts[queries.first + rows - 1] > 0;
    std::fill_n(starts_, softmax_queries, has_documents_ ? queries.starts[queries.first + rows - 1] : 0);
    if (has_documents_) std::copy_n(queries.starts + queries.first, rows, starts_);
  }

  void run_block(const Block& block, const PackedKeys<T>& packed, float scale) {
    const Elems depth = packed_depth<T>(shape_.head_dim);
    // Tiles of queries are as long as panels of keys: some query sees some key of each panel from the first document
    // on.
    const Elems first_col = std::max<Elems>(starts_[0] - block.key, 0) / panel_cols * panel_cols;
    for (Elems col = first_col; col < block.keys; col += panel_cols)
      products_.multiply({.rows = block.rows,
                          .cols = panel_cols,
                          .depth = shape_.head_dim,
                          .left = queries_,
                          .left_stride = stride_,
                          .right = packed.keys + (block.key + col) * depth,
                          .right_stride = panel_cols,
                          .out = scores_ + col,
                          .out_stride = softmax_keys});
    rows_.soften({.rows = block.rows,
                  .first_valid = block.query - block.key + 1,
                  .cols = block.keys,
                  .scale = scale,
                  .scores = scores_,
                  .p = p_,
                  .stride = softmax_keys,
                  .state = state_,
                  .mixed = mixed_,
                  .width = width_,
                  .is_first = block.is_first,
                  .group = products_.group,
                  .starts = has_documents_ ? starts_ : nullptr,
                  .key = block.key});
    const Packed<T>* values = packed.values + packed_depth<T>(block.key) * width_;
    const Elems group = products_.group;
    if (block.seen(0, group) == block.keys && starts_[block.rows - 1] <= block.key)
      return add_values(0, block.rows, {0, block.keys}, values);
    for (Elems row = 0; row < block.rows; row += group) {
      const Elems first =
          std::max<Elems>(starts_[row] - block.key, 0) / products_.first_depth_step * products_.first_depth_step;
      add_values(row, std::min(group, block.rows - row), {first, block.seen(row, group)}, values);
    }
  }

  struct KeyRange {
    Elems first, end;
  };
  void add_values(Elems row, Elems rows, const KeyRange& keys, const Packed<T>* values) {
    if (keys.first >= keys.end) return;
    products_.add({.rows = rows,
                   .cols = width_,
                   .depth = keys.end - keys.first,
                   .left = p_ + row * softmax_keys + keys.first,
                   .left_stride = softmax_keys,
                   .right = values + packed_depth<T>(keys.first) * width_,
                   .right_stride = width_,
                   .out = mixed_ + row * width_,
                   .out_stride = width_});
  }

  const AttentionShape& shape_;
  Elems stride_, width_;
  T* queries_;
  float *scores_, *mixed_;
  T* p_;
  SoftmaxState state_[softmax_queries];
  std::int32_t starts_[softmax_queries];  // of each query's document; all 0 without documents
  bool has_documents_ = false;
  BlockProducts<T> products_;
  AttentionRows<T> rows_ = attention_rows<T>();
};

}  // namespace trireme::cpu
