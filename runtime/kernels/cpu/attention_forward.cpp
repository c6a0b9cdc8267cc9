#include "runtime/kernels/attention.h"

#include <algorithm>
#include <initializer_list>

#include "runtime/kernels/cpu/attention_products.h"
#include "runtime/kernels/cpu/attention_rows.h"
#include "runtime/kernels/cpu/attention_workspace.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

// Queries and keys of one block of scores. The key tile is part of the arithmetic: the online softmax rescales once for
// each. A multiple of the query tile, so that every query of a tile sees keys in each block that is computed.
constexpr Elems query_tile = 64, key_tile = 192;
static_assert(key_tile % query_tile == 0 && key_tile % panel_cols == 0);

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
  QueryTile(const AttentionShape& shape, Carved& carve)
      : shape_(shape), stride_(align_up(shape.head_dim, 2)), width_(packed_width(shape.head_dim)),
        queries_(carve.take<T>(query_tile * stride_)), scores_(carve.take<float>(query_tile * key_tile)),
        mixed_(carve.take<float>(query_tile * width_)), p_(carve.take<T>(query_tile * key_tile)) {}

  /// Queries [query, query + query_tile) of one head: q and out are its columns in the rows of its sequence.
  void run(const PackedKeys<T>& packed, const ConstView& q, const View& out, float* log_sums, Elems query, float scale) {
    const Elems rows = std::min(query_tile, shape_.tokens - query);
    copy_left(q.rows_from(query, rows), stride_, queries_);
    std::fill_n(mixed_, query_tile * width_, 0.0f);
    std::fill_n(state_, query_tile, SoftmaxState{});
    for (Elems key = 0; key < query + rows; key += key_tile)
      run_block({.query = query, .rows = align_up(rows, row_group), .key = key,
                 .keys = std::min(key_tile, query + rows - key)}, packed, scale * log2_e);
    float inverse[query_tile];
    for (Elems r = 0; r < rows; ++r) inverse[r] = 1.0f / state_[r].sum, log_sums[query + r] = log_sum(state_[r]);
    rows_.store({.rows = mixed_, .width = width_, .factors = inverse, .out = elements<T>(out) + query * out.row_stride,
                 .count = rows, .cols = out.cols, .stride = out.row_stride});
  }

 private:
  struct Block {
    Elems query, rows, key, keys;
    // Keys that the last query of a group sees.
    Elems seen(Elems group) const { return std::min(keys, query + group + row_group - key); }
  };

  void run_block(const Block& block, const PackedKeys<T>& packed, float scale) {
    const Elems depth = packed_depth<T>(shape_.head_dim);
    for (Elems col = 0; col < block.keys; col += panel_cols) {
      // Queries before the panel's first key see none of it.
      const Elems first = std::max<Elems>(0, block.key + col - block.query);
      products_.multiply({.rows = block.rows - first, .cols = panel_cols, .depth = shape_.head_dim,
                          .left = queries_ + first * stride_, .left_stride = stride_,
                          .right = packed.keys + (block.key + col) * depth, .right_stride = panel_cols,
                          .out = scores_ + first * key_tile + col, .out_stride = key_tile});
    }
    rows_.soften({.rows = block.rows, .first_valid = block.query - block.key + 1, .cols = block.keys, .scale = scale,
                  .scores = scores_, .p = p_, .stride = key_tile, .state = state_, .mixed = mixed_, .width = width_,
                  .is_first = block.key == 0});
    const Packed<T>* values = packed.values + packed_depth<T>(block.key) * width_;
    if (block.seen(0) == block.keys) return add_values(0, block.rows, block.keys, values);
    for (Elems group = 0; group < block.rows; group += row_group)
      add_values(group, row_group, block.seen(group), values);
  }

  void add_values(Elems first, Elems rows, Elems keys, const Packed<T>* values) {
    products_.add({.rows = rows, .cols = width_, .depth = keys, .left = p_ + first * key_tile, .left_stride = key_tile,
                   .right = values, .right_stride = width_, .out = mixed_ + first * width_, .out_stride = width_});
  }

  const AttentionShape& shape_;
  Elems stride_, width_;
  T* queries_;
  float *scores_, *mixed_;
  T* p_;
  SoftmaxState state_[query_tile];
  BlockProducts<T> products_ = block_products<T>(shape_.head_dim);
  AttentionRows<T> rows_ = attention_rows<T>();
};

/// The whole call. Threads have a key head each, or share one after the other.
template <typename T>
class Forward {
 public:
  Forward(const AttentionForward& k, const AttentionShape& shape, int threads, std::byte* workspace)
      : k_(k), shape_(shape), shared_(threads_share_heads(shape, threads)), workspace_(workspace) {
    Carved packed(nullptr), tile(nullptr);
    PackedKeys<T>(shape, packed), QueryTile<T>(shape, tile);
    packed_bytes_ = packed.used_bytes(), tile_bytes_ = tile.used_bytes();
    tiles_offset_ = (shared_ ? 1 : threads) * packed_bytes_;
    bytes_ = tiles_offset_ + threads * tile_bytes_;
  }
  Bytes bytes() const { return bytes_; }

  void run() const {
    const Elems heads = static_cast<Elems>(shape_.batch) * shape_.kv_heads, t = shape_.tokens;
    if (!shared_) {
      for_each_block(heads, 1, [&](Elems head, Elems, int thread) {
        const PackedKeys<T> packed = packed_keys(thread);
        pack(packed, head, 0, t);
        QueryTile<T> tile = query_tile_of(thread);
        for (Elems item = 0; item < items(); ++item) run_item(tile, packed, head, item);
      });
      return;
    }
    const PackedKeys<T> packed = packed_keys(0);
    for (Elems head = 0; head < heads; ++head) {
      for_each_block(t, 4 * panel_cols, [&](Elems first, Elems end, int) { pack(packed, head, first, end - first); });
      // Threads take runs of items of about equal work: a tile from the end of the sequence after each from its start.
      for_each_block(items(), 2, [&](Elems first, Elems end, int thread) {
        QueryTile<T> tile = query_tile_of(thread);
        for (Elems item = first; item < end; ++item) run_item(tile, packed, head, item);
      });
    }
  }

 private:
  Elems items() const { return shape_.heads / shape_.kv_heads * ceil_div(shape_.tokens, query_tile); }
  PackedKeys<T> packed_keys(int slot) const {
    Carved carve(workspace_ + slot * packed_bytes_);
    return PackedKeys<T>(shape_, carve);
  }
  QueryTile<T> query_tile_of(int thread) const {
    Carved carve(workspace_ + tiles_offset_ + thread * tile_bytes_);
    return QueryTile<T>(shape_, carve);
  }
  ConstView cut(const ConstView& x, Elems sequence, Elems head) const {
    return x.rows_from(sequence * shape_.tokens, shape_.tokens).cols_from(head * shape_.head_dim, shape_.head_dim);
  }
  void pack(const PackedKeys<T>& packed, Elems index, Elems first, Elems count) const {
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads;
    packed.pack(block_products<T>(shape_.head_dim), cut(k_.k, sequence, head), cut(k_.v, sequence, head), first, count);
  }
  // Item: a query head of the group and a query tile, from both ends of the sequence in turn.
  void run_item(QueryTile<T>& tile, const PackedKeys<T>& packed, Elems index, Elems item) const {
    const Elems tiles = ceil_div(shape_.tokens, query_tile), group = shape_.heads / shape_.kv_heads;
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads * group + item / tiles;
    const Elems place = item % tiles, query = (place % 2 == 0 ? place / 2 : tiles - 1 - place / 2) * query_tile;
    const View out = k_.out.rows_from(sequence * shape_.tokens, shape_.tokens).cols_from(head * shape_.head_dim, shape_.head_dim);
    float* log_sums = elements<float>(k_.log_sum_exp) + (sequence * shape_.heads + head) * shape_.tokens;
    tile.run(packed, cut(k_.q, sequence, head), out, log_sums, query, k_.scale);
  }

  const AttentionForward& k_;
  const AttentionShape& shape_;
  bool shared_;
  std::byte* workspace_;
  Bytes packed_bytes_, tile_bytes_, tiles_offset_, bytes_;
};

}  // namespace

void attention_forward(const AttentionForward& k) {
  const AttentionShape shape = shape_of(k);
  const Bytes needed = attention_forward_workspace_bytes(shape, kernel_threads());
  ensure(k.workspace.bytes() >= needed, "attention needs {} bytes of workspace and got {}", needed, k.workspace.bytes());
  for (const ConstView& x : std::initializer_list<ConstView>{k.q, k.k, k.v, k.out})
    ensure(x.type == k.q.type, "attention reads and writes one type, not {} and {}", name(k.q.type), name(x.type));
  ensure(k.log_sum_exp.type == DType::f32, "log_sum_exp is f32, not {}", name(k.log_sum_exp.type));
  with_type(k.q.type, [&](auto type) {
    Forward<decltype(type)>(k, shape, kernel_threads(), static_cast<std::byte*>(k.workspace.data)).run();
  });
}

Bytes attention_forward_workspace_bytes(const AttentionShape& shape, int threads) {
  return shape.type == DType::bf16 ? Forward<bf16>({}, shape, threads, nullptr).bytes()
                                   : Forward<float>({}, shape, threads, nullptr).bytes();
}

}  // namespace trireme
