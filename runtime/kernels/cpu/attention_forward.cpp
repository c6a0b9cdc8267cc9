#include "runtime/kernels/attention.h"

#include <algorithm>
#include <cstring>

#include "runtime/kernels/cpu/attention_rows.h"
#include "runtime/kernels/cpu/attention_tiles.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

// Queries and keys of one tile of scores. Part of the arithmetic: the online softmax rescales once per key tile.
constexpr Elems query_tile = 64, key_tile = 192;

/// One sequence and one key head: k and v packed once, then each of its query heads.
template <typename T>
class ForwardHead {
 public:
  ForwardHead(const AttentionForward& k, const AttentionShape& shape, Carved carve)
      : k_(k), shape_(shape), tiles_(k.order) {
    const Elems padded = align_up(shape.tokens, key_tile);
    keys_ = carve.take<T>(padded, shape.head_dim);
    values_ = carve.take<T>(align_up(shape.head_dim, tile_cols), padded);
    queries_ = carve.take<T>(query_tile, shape.head_dim);
    weights_ = carve.take<T>(query_tile, key_tile);
    scores_ = carve.floats(query_tile * key_tile);
    mixed_ = carve.floats(query_tile * align_up(shape.head_dim, tile_cols));
    p_ = carve.elements<T>(query_tile * key_tile);
    bytes_ = carve.used_bytes();
  }
  Bytes bytes() const { return bytes_; }

  void run(Elems sequence, Elems kv_head) {
    const Elems first = sequence * shape_.tokens, d = shape_.head_dim, t = shape_.tokens;
    const ConstView k = k_.k.rows_from(first, t).cols_from(kv_head * d, d);
    const ConstView v = k_.v.rows_from(first, t).cols_from(kv_head * d, d);
    tiles_.pack_transposed<T>(k, tile_cols, keys_);
    for (Elems key = 0; key < t; key += key_tile)
      tiles_.pack_rows<T>(v.rows_from(key, std::min(key_tile, t - key)), tile_cols, values_of(key));
    const Elems group = k_.heads / k_.kv_heads;
    for (Elems head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const ConstView q = k_.q.rows_from(first, t).cols_from(head * d, d);
      const View out = k_.out.rows_from(first, t).cols_from(head * d, d);
      float* log_sums = k_.log_sum_exp.as<float>() + (sequence * k_.heads + head) * t;
      for (Elems query = 0; query < t; query += query_tile) run_tile(q, out, log_sums, query);
    }
  }

 private:
  // Values of a key tile: for each 48 channels a panel over its keys.
  Packed<T>* values_of(Elems key) const {
    return values_ + key / key_tile * packed_elems<T>(align_up(shape_.head_dim, tile_cols), key_tile);
  }

  void run_tile(const ConstView& q, const View& out, float* log_sums, Elems query) {
    const Elems t = shape_.tokens, d = shape_.head_dim, width = align_up(d, tile_cols);
    const Elems rows = std::min(query_tile, t - query);
    tiles_.pack_transposed<T>(q.rows_from(query, rows), tile_rows, queries_);
    std::fill_n(mixed_, query_tile * width, 0.0f);
    SoftmaxState state[query_tile];
    for (Elems key = 0; key < query + rows; key += key_tile) {
      const Elems keys = std::min({key_tile, t - key, query + rows - key});
      tiles_.multiply<T>({rows, keys, d, d}, queries_, keys_ + packed_elems<T>(key, d), scores_, key_tile, false);
      for (Elems r = 0; r < rows; ++r) {
        const Elems valid = std::clamp<Elems>(query + r - key + 1, 0, keys);
        if (valid == 0) {
          std::memset(static_cast<void*>(p_ + r * key_tile), 0, sizeof(T) * static_cast<std::size_t>(keys));
          continue;
        }
        const float factor = soften(scores_ + r * key_tile, valid, keys, k_.scale * log2_e, state[r],
                                    View(p_ + r * key_tile, dtype_of<T>::value, keys));
        if (key > 0) scale_row(mixed_ + r * width, width, factor);
      }
      tiles_.pack_transposed<T>(ConstView(p_, dtype_of<T>::value, rows, keys, key_tile), tile_rows, weights_);
      tiles_.multiply<T>({rows, d, keys, std::min(key_tile, t - key)}, weights_, values_of(key), mixed_, width, true);
    }
    for (Elems r = 0; r < rows; ++r) {
      store_row(mixed_ + r * width, 1.0f / state[r].sum, out.row(query + r));
      log_sums[query + r] = log_sum(state[r]);
    }
  }

  const AttentionForward& k_;
  const AttentionShape& shape_;
  AttentionTiles tiles_;
  Packed<T>*keys_, *values_, *queries_, *weights_;
  float *scores_, *mixed_;
  T* p_;
  Bytes bytes_;
};

AttentionShape shape_of(const AttentionForward& k) {
  return {.batch = k.batch, .heads = k.heads, .kv_heads = k.kv_heads, .tokens = k.q.rows / k.batch,
          .head_dim = k.q.cols / k.heads, .type = k.q.type};
}

template <typename T>
Bytes bytes_of_one(const AttentionShape& shape) {
  return ForwardHead<T>({}, shape, Carved(nullptr)).bytes();
}

}  // namespace

void attention_forward(const AttentionForward& k) {
  const AttentionShape shape = shape_of(k);
  const Bytes needed = attention_forward_workspace_bytes(shape, kernel_threads());
  ensure(k.workspace.bytes() >= needed, "attention needs {} bytes of workspace and got {}", needed, k.workspace.bytes());
  with_type(k.q.type, [&](auto type) {
    using T = decltype(type);
    const Bytes one = bytes_of_one<T>(shape);
    for_each_block(k.batch * k.kv_heads, 1, [&](Elems task, Elems, int thread) {
      ForwardHead<T> head(k, shape, Carved(static_cast<std::byte*>(k.workspace.data) + thread * one));
      head.run(task / k.kv_heads, task % k.kv_heads);
    });
  });
}

Bytes attention_forward_workspace_bytes(const AttentionShape& shape, int threads) {
  return threads * (shape.type == DType::bf16 ? bytes_of_one<bf16>(shape) : bytes_of_one<float>(shape));
}

}  // namespace trireme
