#include <algorithm>
#include <atomic>
#include <initializer_list>

#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/attention_products.h"
#include "runtime/kernels/cpu/attention_rows.h"
#include "runtime/kernels/cpu/attention_workspace.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

// Keys and queries of one block of scores, and queries whose sums are awaited together. No part of the arithmetic.
constexpr Elems key_tile = 64, query_tile = 192, query_step = 64, strip_rows = 16;
static_assert(key_tile % panel_cols == 0 && key_tile <= most_transposed_depth && query_tile % panel_cols == 0 && query_step == key_tile);

// At most query_step rows.
template <typename T>
void store_rows(const AttentionRows<T>& kernels, const float* rows, Elems width, float factor, const View& out) {
  float factors[query_step];
  std::fill_n(factors, query_step, factor);
  kernels.store({.rows = rows, .width = width, .factors = factors, .out = elements<T>(out), .count = out.rows, .cols = out.cols,
                 .stride = out.row_stride});
}

/// What all key tiles of one sequence and key head share: its query heads, packed, and the sums of their gradients.
template <typename T>
struct QueryHeads {
  QueryHeads(const AttentionShape& shape, Carved& carve)
      : group(shape.heads / shape.kv_heads), tokens(align_up(shape.tokens, query_step)),
        depth(packed_depth<T>(shape.head_dim)), width(packed_width(shape.head_dim)),
        query_columns(carve.take<Packed<T>>(group * tokens * depth)),
        d_out_columns(carve.take<Packed<T>>(group * tokens * depth)),
        query_rows(carve.take<Packed<T>>(group * packed_depth<T>(tokens) * width)),
        d_out_rows(carve.take<Packed<T>>(group * packed_depth<T>(tokens) * width)),
        dq(carve.take<float>(group * tokens * width)), delta(carve.take<float>(group * tokens)),
        key_tiles_added(carve.take<int>(group * tokens / query_step)), next_key_tile(carve.take<int>(1)),
        products(block_products<T>(shape.head_dim)) {}

  /// Packs queries [query, query + rows) of head g of the group, rows <= query_step, and sums out * d_out of each.
  void prepare(const ConstView& q, const ConstView& out, const ConstView& d_out, Elems g, Elems query, Elems rows) const {
    const Elems at = g * tokens + query;
    pack_columns(products, q.rows_from(query, rows), query_columns + at * depth);
    pack_columns(products, d_out.rows_from(query, rows), d_out_columns + at * depth);
    pack_rows(products, q.rows_from(query, rows), query_rows + packed_depth<T>(at) * width);
    pack_rows(products, d_out.rows_from(query, rows), d_out_rows + packed_depth<T>(at) * width);
    dot_rows(out.rows_from(query, rows), d_out.rows_from(query, rows), delta + at);
    std::fill_n(dq + at * width, query_step * width, 0.0f);
    key_tiles_added[at / query_step] = 0;
  }

  /// Key tiles add to the sums of a query in ascending order, whichever threads have them.
  void await_turn(Elems first, Elems rows, int key_tile_index) const {
    for (Elems at = first; at < first + rows; at += query_step) {
      const std::atomic_ref<int> added(key_tiles_added[at / query_step]);
      for (int now = added.load(std::memory_order_acquire); now != key_tile_index; now = added.load(std::memory_order_acquire))
        added.wait(now, std::memory_order_acquire);
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
  int *key_tiles_added, *next_key_tile;
  BlockProducts<T> products;
};

/// One thread's scratch, and what it does with a tile of keys: dk and dv stay in one accumulator over all query heads.
template <typename T>
class KeyTile {
 public:
  KeyTile(const AttentionShape& shape, Carved& carve)
      : shape_(shape), stride_(align_up(shape.head_dim, 2)), width_(packed_width(shape.head_dim)),
        keys_(carve.take<T>(key_tile * stride_)), values_(carve.take<T>(key_tile * stride_)),
        key_rows_(carve.take<Packed<T>>(packed_depth<T>(key_tile) * width_)),
        scores_(carve.take<float>(strip_rows * panel_cols)), d_scores_(carve.take<float>(strip_rows * panel_cols)),
        p_(carve.take<T>(key_tile * query_tile)), ds_(carve.take<T>(key_tile * query_tile)),
        dk_(carve.take<float>(key_tile * width_)), dv_(carve.take<float>(key_tile * width_)) {}

  /// k, v, dk, dv: the rows of this key tile and head. log_sums: of the group's first head.
  struct Keys {
    ConstView k, v;
    View dk, dv;
    Elems first = 0;
    const float* log_sums = nullptr;
    float scale = 1;
    bool take_turns = false;  // other threads add to the same dq
  };
  void run(const QueryHeads<T>& heads, const Keys& keys) {
    copy_left(keys.k, stride_, keys_);
    copy_left(keys.v, stride_, values_);
    pack_rows(products_, keys.k, key_rows_);
    std::fill_n(dk_, key_tile * width_, 0.0f);
    std::fill_n(dv_, key_tile * width_, 0.0f);
    for (Elems g = 0; g < heads.group; ++g)
      for (Elems query = keys.first; query < shape_.tokens; query += query_tile)
        run_block({.head = g, .query = query, .queries = std::min(query_tile, shape_.tokens - query), .key = keys.first,
                   .keys = keys.k.rows}, heads, keys);
    store_rows(rows_, dk_, width_, keys.scale, keys.dk);
    store_rows(rows_, dv_, width_, 1.0f, keys.dv);
  }

 private:
  struct Block {
    Elems head, query, queries, key, keys;
    Elems rows() const { return align_up(keys, row_group); }
    bool on_diagonal() const { return query < key + keys - 1; }
  };

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
    rows_.gradients({.rows = rows, .valid_rows = std::clamp<Elems>(block.keys - row, 0, rows),
                     .cols = std::min(panel_cols, block.queries - col), .diagonal = block.query + col - block.key - row,
                     .scale = keys.scale * log2_e, .scores = scores_, .d_probabilities = d_scores_,
                     .scores_stride = panel_cols, .p = p_ + row * query_tile + col, .ds = ds_ + row * query_tile + col,
                     .stride = query_tile,
                     .log_sum_exp = keys.log_sums + block.head * shape_.tokens + block.query + col,
                     .delta = heads.delta + at});
  }

  void multiply(Elems rows, const T* left, const Packed<T>* right, float* out) {
    products_.multiply({.rows = rows, .cols = panel_cols, .depth = shape_.head_dim, .left = left, .left_stride = stride_,
                        .right = right, .right_stride = panel_cols, .out = out, .out_stride = panel_cols});
  }

  // On the diagonal, the first queries of the block do not see the last keys: groups of keys start at their own.
  void add_over_queries(const Block& block, const T* left, const Packed<T>* right, float* sums) {
    const Elems step = block.on_diagonal() ? row_group : block.rows();
    for (Elems row = 0; row < block.rows(); row += step) {
      const Elems first = std::clamp<Elems>(block.key + row - block.query, 0, block.queries) / 2 * 2;
      products_.add({.rows = step, .cols = width_, .depth = block.queries - first, .left = left + row * query_tile + first,
                     .left_stride = query_tile, .right = right + packed_depth<T>(first) * width_, .right_stride = width_,
                     .out = sums + row * width_, .out_stride = width_});
    }
  }

  void add_over_keys(const Block& block, float* dq) {
    const Elems rows = align_up(block.queries, 16), step = block.on_diagonal() ? 16 : rows;
    for (Elems row = 0; row < rows; row += step) {
      const Elems seen = std::min(block.keys, block.query + row + step - block.key);
      products_.add_transposed({.rows = step, .cols = width_, .depth = seen, .left = ds_ + row, .left_stride = query_tile,
                                .right = key_rows_, .right_stride = width_, .out = dq + row * width_, .out_stride = width_});
    }
  }

  const AttentionShape& shape_;
  Elems stride_, width_;
  T *keys_, *values_;
  Packed<T>* key_rows_;
  float *scores_, *d_scores_;
  T *p_, *ds_;
  float *dk_, *dv_;
  BlockProducts<T> products_ = block_products<T>(shape_.head_dim);
  AttentionRows<T> rows_ = attention_rows<T>();
};

/// The whole call. Threads have a key head each, or share one after the other.
template <typename T>
class Backward {
 public:
  Backward(const AttentionBackward& k, const AttentionShape& shape, int threads, std::byte* workspace)
      : k_(k), shape_(shape), threads_(threads), shared_(threads_share_heads(shape, threads)), workspace_(workspace) {
    Carved heads(nullptr), tile(nullptr);
    QueryHeads<T>(shape, heads), KeyTile<T>(shape, tile);
    heads_bytes_ = heads.used_bytes(), tile_bytes_ = tile.used_bytes();
    tiles_offset_ = (shared_ ? 1 : threads) * heads_bytes_;
    bytes_ = tiles_offset_ + threads * tile_bytes_;
  }
  Bytes bytes() const { return bytes_; }

  void run() const {
    const Elems key_heads = static_cast<Elems>(shape_.batch) * shape_.kv_heads;
    if (!shared_) {
      for_each_block(key_heads, 1, [&](Elems index, Elems, int thread) {
        const QueryHeads<T> heads = query_heads(thread);
        for (Elems item = 0; item < items(heads); ++item) prepare(heads, index, item);
        run_key_tiles(heads, index, thread);
        for (Elems item = 0; item < items(heads); ++item) finish(heads, index, item);
      });
      return;
    }
    const QueryHeads<T> heads = query_heads(0);
    for (Elems index = 0; index < key_heads; ++index) {
      for_each_block(items(heads), 1, [&](Elems item, Elems, int) { prepare(heads, index, item); });
      for_each_block(threads_, 1, [&](Elems, Elems, int thread) { share_key_tiles(heads, index, thread); });
      for_each_block(items(heads), 1, [&](Elems item, Elems, int) { finish(heads, index, item); });
    }
  }

 private:
  QueryHeads<T> query_heads(int slot) const {
    Carved carve(workspace_ + slot * heads_bytes_);
    return QueryHeads<T>(shape_, carve);
  }
  KeyTile<T> key_tile_of(int thread) const {
    Carved carve(workspace_ + tiles_offset_ + thread * tile_bytes_);
    return KeyTile<T>(shape_, carve);
  }
  // An item is query_step queries of one head of the group.
  Elems items(const QueryHeads<T>& heads) const { return heads.group * heads.tokens / query_step; }
  template <typename AnyView>
  AnyView cut(const AnyView& x, Elems sequence, Elems head) const {
    return x.rows_from(sequence * shape_.tokens, shape_.tokens).cols_from(head * shape_.head_dim, shape_.head_dim);
  }

  void prepare(const QueryHeads<T>& heads, Elems index, Elems item) const {
    const Elems steps = heads.tokens / query_step, g = item / steps, query = item % steps * query_step;
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads * heads.group + g;
    heads.prepare(cut(k_.q, sequence, head), cut(k_.out, sequence, head), cut(k_.d_out, sequence, head), g, query,
                  std::min(query_step, shape_.tokens - query));
    if (item == 0) *heads.next_key_tile = 0;
  }

  // Threads that share the head take key tiles in ascending order until there are no more. A tile waits only for those
  // before it, which somebody took earlier: no deadlock on any number of threads.
  void share_key_tiles(const QueryHeads<T>& heads, Elems index, int thread) const {
    KeyTile<T> tile = key_tile_of(thread);
    const std::atomic_ref<int> next(*heads.next_key_tile);
    for (Elems key = next++ * key_tile; key < shape_.tokens; key = next++ * key_tile) run_key_tile(tile, heads, index, key);
  }
  void run_key_tiles(const QueryHeads<T>& heads, Elems index, int thread) const {
    KeyTile<T> tile = key_tile_of(thread);
    for (Elems key = 0; key < shape_.tokens; key += key_tile) run_key_tile(tile, heads, index, key);
  }
  void run_key_tile(KeyTile<T>& tile, const QueryHeads<T>& heads, Elems index, Elems key) const {
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads, t = shape_.tokens;
    const Elems keys = std::min(key_tile, t - key);
    tile.run(heads, {.k = cut(k_.k, sequence, head).rows_from(key, keys), .v = cut(k_.v, sequence, head).rows_from(key, keys),
                     .dk = cut(k_.dk, sequence, head).rows_from(key, keys),
                     .dv = cut(k_.dv, sequence, head).rows_from(key, keys), .first = key,
                     .log_sums = elements<float>(k_.log_sum_exp) + (sequence * shape_.heads + head * heads.group) * t,
                     .scale = k_.scale, .take_turns = shared_});
  }

  void finish(const QueryHeads<T>& heads, Elems index, Elems item) const {
    const Elems steps = heads.tokens / query_step, g = item / steps, query = item % steps * query_step;
    const View dq = cut(k_.dq, index / shape_.kv_heads, index % shape_.kv_heads * heads.group + g);
    store_rows(attention_rows<T>(), heads.dq + (g * heads.tokens + query) * heads.width, heads.width, k_.scale,
               dq.rows_from(query, std::min(query_step, shape_.tokens - query)));
  }

  const AttentionBackward& k_;
  const AttentionShape& shape_;
  int threads_;
  bool shared_;
  std::byte* workspace_;
  Bytes heads_bytes_, tile_bytes_, tiles_offset_, bytes_;
};

}  // namespace

void attention_backward(const AttentionBackward& k) {
  const AttentionShape shape = shape_of(k);
  const Bytes needed = attention_backward_workspace_bytes(shape, kernel_threads());
  ensure(k.workspace.bytes() >= needed, "attention needs {} bytes of workspace and got {}", needed, k.workspace.bytes());
  for (const ConstView& x : std::initializer_list<ConstView>{k.q, k.k, k.v, k.out, k.d_out, k.dq, k.dk, k.dv})
    ensure(x.type == k.q.type, "attention reads and writes one type, not {} and {}", name(k.q.type), name(x.type));
  ensure(k.log_sum_exp.type == DType::f32, "log_sum_exp is f32, not {}", name(k.log_sum_exp.type));
  with_type(k.q.type, [&](auto type) {
    Backward<decltype(type)>(k, shape, kernel_threads(), static_cast<std::byte*>(k.workspace.data)).run();
  });
}

Bytes attention_backward_workspace_bytes(const AttentionShape& shape, int threads) {
  return shape.type == DType::bf16 ? Backward<bf16>({}, shape, threads, nullptr).bytes()
                                   : Backward<float>({}, shape, threads, nullptr).bytes();
}

}  // namespace trireme
