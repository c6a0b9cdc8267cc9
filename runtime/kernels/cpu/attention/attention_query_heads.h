#pragma once
// Backward attention: the query heads that read one key head.

#include <algorithm>
#include <atomic>

#include "runtime/kernels/cpu/attention/attention_products.h"
#include "runtime/kernels/cpu/attention/attention_rows.h"
#include "runtime/kernels/cpu/attention/attention_workspace.h"

namespace trireme::cpu {

/// Queries that are prepared, and whose sums are awaited, together.
inline constexpr Elems query_step = 64;
static_assert(query_step == panel_cols);

/// What all key tiles of one sequence and key head share: its query heads, packed, and the sums of their gradients.
template <typename T>
struct QueryHeads {
  QueryHeads(const AttentionShape& shape, ProductOrder order, Carved& carve)
      : group(shape.heads / shape.kv_heads),
        tokens(align_up(shape.tokens, query_step)),
        depth(packed_depth<T>(shape.head_dim)),
        width(packed_width(shape.head_dim)),
        query_columns(carve.take<Packed<T>>(group * tokens * depth)),
        d_out_columns(carve.take<Packed<T>>(group * tokens * depth)),
        query_rows(carve.take<Packed<T>>(group * packed_depth<T>(tokens) * width)),
        d_out_rows(carve.take<Packed<T>>(group * packed_depth<T>(tokens) * width)),
        dq(carve.take<float>(group * tokens * width)),
        delta(carve.take<float>(group * tokens)),
        key_tiles_added(carve.take<int>(group * tokens / query_step)),
        next_key_tile(carve.take<int>(1)),
        products(block_products<T>(shape.head_dim, order)) {}

  /// Packs queries [query, query + rows) of head g of the group, rows <= query_step, and sums out * d_out of each.
  void prepare(const ConstView& q, const ConstView& out, const ConstView& d_out, Elems g, Elems query,
               Elems rows) const {
    const Elems at = g * tokens + query;
    pack_columns(products, q.rows_from(query, rows), query_columns + at * depth);
    pack_columns(products, d_out.rows_from(query, rows), d_out_columns + at * depth);
    pack_rows(products, q.rows_from(query, rows), query_rows + packed_depth<T>(at) * width);
    pack_rows(products, d_out.rows_from(query, rows), d_out_rows + packed_depth<T>(at) * width);
    dot_rows(out.rows_from(query, rows), d_out.rows_from(query, rows), delta + at);
    std::fill_n(dq + at * width, query_step * width, 0.0f);
  }

  /// Key tiles add to the sums of a query in ascending order, whichever threads have them.
  void await_turn(Elems first, Elems rows, int key_tile_index) const {
    for (Elems at = first; at < first + rows; at += query_step) {
      const std::atomic_ref<int> added(key_tiles_added[at / query_step]);
      const auto now = [&] { return added.load(std::memory_order_acquire); };
      for (int seen = now(); seen != key_tile_index; seen = now()) added.wait(seen, std::memory_order_acquire);
    }
  }
  void pass_turn(Elems first, Elems rows, int key_tile_index) const {
    for (Elems at = first; at < first + rows; at += query_step) {
      const std::atomic_ref<int> added(key_tiles_added[at / query_step]);
      added.store(key_tile_index + 1, std::memory_order_release);
      added.notify_all();
    }
  }

  Elems group, tokens, depth, width;  // tokens: padded
  Packed<T>*query_columns, *d_out_columns, *query_rows, *d_out_rows;
  float *dq, *delta;
  int *key_tiles_added, *next_key_tile;  // [group * tokens / query_step]: the next one whose turn it is; [1]
  BlockProducts<T> products;
};

}  // namespace trireme::cpu
