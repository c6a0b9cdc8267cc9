#include <algorithm>

#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/attention_rows.h"
#include "runtime/kernels/cpu/attention_tiles.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

// Queries and keys of one tile of scores.
constexpr Elems query_tile = 64, key_tile = 96;

/// One sequence and one key head. Key tiles are the outer loop, so that dk and dv of a tile stay in one accumulator over
/// all query heads; dq of the group's heads is summed over key tiles in scratch.
template <typename T>
class BackwardHead {
 public:
  BackwardHead(const AttentionBackward& k, const AttentionShape& shape, Carved carve)
      : k_(k), shape_(shape), tiles_(k.order), group_(shape.heads / shape.kv_heads),
        width_(align_up(shape.head_dim, tile_cols)) {
    const Elems t = padded_tokens(), d = shape.head_dim;
    key_panels_ = carve.take<T>(key_tile, d);
    value_panels_ = carve.take<T>(key_tile, d);
    key_rows_ = carve.take<T>(width_, key_tile);
    query_panels_ = carve.take<T>(group_ * padded_tokens(), d);
    d_out_panels_ = carve.take<T>(group_ * padded_tokens(), d);
    query_rows_ = carve.take<T>(width_, group_ * t);
    d_out_rows_ = carve.take<T>(width_, group_ * t);
    scores_ = carve.floats(query_tile * key_tile);
    d_scores_ = carve.floats(query_tile * key_tile);
    p_ = carve.elements<T>(query_tile * key_tile);
    ds_ = carve.elements<T>(query_tile * key_tile);
    left_ = carve.take<T>(std::max(query_tile, key_tile), std::max(query_tile, key_tile));
    dk_ = carve.floats(key_tile * width_);
    dv_ = carve.floats(key_tile * width_);
    dq_ = carve.floats(group_ * t * width_);
    delta_ = carve.floats(group_ * t);
    bytes_ = carve.used_bytes();
  }
  Bytes bytes() const { return bytes_; }

  void run(Elems sequence, Elems kv_head) {
    const Elems t = shape_.tokens, first = sequence * t;
    for (Elems g = 0; g < group_; ++g) prepare(first, kv_head * group_ + g, g);
    const ConstView k = cut(k_.k, first, kv_head), v = cut(k_.v, first, kv_head);
    const View dk = cut(k_.dk, first, kv_head), dv = cut(k_.dv, first, kv_head);
    for (Elems key = 0; key < t; key += key_tile) {
      const Elems keys = std::min(key_tile, t - key);
      tiles_.pack_transposed<T>(k.rows_from(key, keys), tile_cols, key_panels_);
      tiles_.pack_transposed<T>(v.rows_from(key, keys), tile_cols, value_panels_);
      tiles_.pack_rows<T>(k.rows_from(key, keys), tile_cols, key_rows_);
      std::fill_n(dk_, key_tile * width_, 0.0f);
      std::fill_n(dv_, key_tile * width_, 0.0f);
      for (Elems g = 0; g < group_; ++g) {
        const float* log_sums = k_.log_sum_exp.as<float>() + (sequence * k_.heads + kv_head * group_ + g) * t;
        // The first query tile that sees this key tile.
        for (Elems query = key / query_tile * query_tile; query < t; query += query_tile)
          run_tile({query, std::min(query_tile, t - query)}, {key, keys}, g, log_sums);
      }
      for (Elems r = 0; r < keys; ++r) {
        store_row(dk_ + r * width_, k_.scale, dk.row(key + r));
        store_row(dv_ + r * width_, 1.0f, dv.row(key + r));
      }
    }
    for (Elems g = 0; g < group_; ++g) {
      const View dq = cut(k_.dq, first, kv_head * group_ + g);
      for (Elems r = 0; r < t; ++r) store_row(dq_ + (g * padded_tokens() + r) * width_, k_.scale, dq.row(r));
    }
  }

 private:
  struct Span {
    Elems first, count;
  };

  Elems padded_tokens() const { return align_up(shape_.tokens, query_tile); }
  template <typename AnyView>
  AnyView cut(const AnyView& x, Elems first, Elems head) const {
    return x.rows_from(first, shape_.tokens).cols_from(head * shape_.head_dim, shape_.head_dim);
  }
  // Panels of 8 rows of the query tile that starts at `query`, of head g of the group.
  Packed<T>* panels_of(Packed<T>* panels, Elems query, Elems g) const {
    return panels + packed_elems<T>(g * padded_tokens() + query, shape_.head_dim);
  }
  // Rows of a query tile, for each 48 channels a panel over its queries.
  Packed<T>* rows_of(Packed<T>* rows, Elems query, Elems g) const {
    return rows + (g * padded_tokens() + query) / query_tile * packed_elems<T>(width_, query_tile);
  }

  // Packs a query head once for all key tiles, and sums out * d_out per query.
  void prepare(Elems first, Elems head, Elems g) {
    const ConstView q = cut(k_.q, first, head), out = cut(k_.out, first, head), d_out = cut(k_.d_out, first, head);
    for (Elems query = 0; query < shape_.tokens; query += query_tile) {
      const Elems rows = std::min(query_tile, shape_.tokens - query);
      tiles_.pack_transposed<T>(q.rows_from(query, rows), tile_rows, panels_of(query_panels_, query, g));
      tiles_.pack_transposed<T>(d_out.rows_from(query, rows), tile_rows, panels_of(d_out_panels_, query, g));
      tiles_.pack_rows<T>(q.rows_from(query, rows), tile_cols, rows_of(query_rows_, query, g));
      tiles_.pack_rows<T>(d_out.rows_from(query, rows), tile_cols, rows_of(d_out_rows_, query, g));
    }
    for (Elems r = 0; r < shape_.tokens; ++r) delta_[g * padded_tokens() + r] = dot_row(out.row(r), d_out.row(r));
    std::fill_n(dq_ + g * padded_tokens() * width_, padded_tokens() * width_, 0.0f);
  }

  void run_tile(Span queries, Span keys, Elems g, const float* log_sums) {
    const Elems d = shape_.head_dim, rows = queries.count;
    tiles_.multiply<T>({rows, keys.count, d, d}, panels_of(query_panels_, queries.first, g), key_panels_, scores_, key_tile,
                       false);
    tiles_.multiply<T>({rows, keys.count, d, d}, panels_of(d_out_panels_, queries.first, g), value_panels_, d_scores_,
                       key_tile, false);
    for (Elems r = 0; r < rows; ++r) {
      const Elems query = queries.first + r;
      score_gradient({.scores = scores_ + r * key_tile, .d_probabilities = d_scores_ + r * key_tile,
                      .valid = std::clamp<Elems>(query - keys.first + 1, 0, keys.count), .padded = keys.count,
                      .scale = k_.scale * log2_e, .log_sum_exp = log_sums[query],
                      .delta = delta_[g * padded_tokens() + query],
                      .p = View(p_ + r * key_tile, dtype_of<T>::value, keys.count),
                      .ds = View(ds_ + r * key_tile, dtype_of<T>::value, keys.count)});
    }
    const ConstView p(p_, dtype_of<T>::value, rows, keys.count, key_tile), ds(ds_, dtype_of<T>::value, rows, keys.count, key_tile);
    tiles_.pack_rows<T>(p, tile_rows, left_);
    tiles_.multiply<T>({keys.count, d, rows, rows}, left_, rows_of(d_out_rows_, queries.first, g), dv_, width_, true);
    tiles_.pack_rows<T>(ds, tile_rows, left_);
    tiles_.multiply<T>({keys.count, d, rows, rows}, left_, rows_of(query_rows_, queries.first, g), dk_, width_, true);
    tiles_.pack_transposed<T>(ds, tile_rows, left_);
    tiles_.multiply<T>({rows, d, keys.count, keys.count}, left_, key_rows_,
                       dq_ + (g * padded_tokens() + queries.first) * width_, width_, true);
  }

  const AttentionBackward& k_;
  const AttentionShape& shape_;
  AttentionTiles tiles_;
  Elems group_, width_;
  Packed<T>*key_panels_, *value_panels_, *key_rows_, *query_panels_, *d_out_panels_, *query_rows_, *d_out_rows_, *left_;
  float *scores_, *d_scores_, *dk_, *dv_, *dq_, *delta_;
  T *p_, *ds_;
  Bytes bytes_;
};

AttentionShape shape_of(const AttentionBackward& k) {
  return {.batch = k.batch, .heads = k.heads, .kv_heads = k.kv_heads, .tokens = k.q.rows / k.batch,
          .head_dim = k.q.cols / k.heads, .type = k.q.type};
}

template <typename T>
Bytes bytes_of_one(const AttentionShape& shape) {
  return BackwardHead<T>({}, shape, Carved(nullptr)).bytes();
}

}  // namespace

void attention_backward(const AttentionBackward& k) {
  const AttentionShape shape = shape_of(k);
  const Bytes needed = attention_backward_workspace_bytes(shape, kernel_threads());
  ensure(k.workspace.bytes() >= needed, "attention needs {} bytes of workspace and got {}", needed, k.workspace.bytes());
  with_type(k.q.type, [&](auto type) {
    using T = decltype(type);
    const Bytes one = bytes_of_one<T>(shape);
    for_each_block(k.batch * k.kv_heads, 1, [&](Elems task, Elems, int thread) {
      BackwardHead<T> head(k, shape, Carved(static_cast<std::byte*>(k.workspace.data) + thread * one));
      head.run(task / k.kv_heads, task % k.kv_heads);
    });
  });
}

Bytes attention_backward_workspace_bytes(const AttentionShape& shape, int threads) {
  return threads * (shape.type == DType::bf16 ? bytes_of_one<bf16>(shape) : bytes_of_one<float>(shape));
}

}  // namespace trireme
