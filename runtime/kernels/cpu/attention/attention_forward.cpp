#include "runtime/kernels/attention.h"

#include <algorithm>

#include "runtime/kernels/cpu/attention/attention_query_tile.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

/// The whole call. Threads have a key head each, or share one after the other.
template <typename T>
class Forward {
 public:
  Forward(const AttentionForward& k, const AttentionShape& shape, int threads, std::byte* workspace)
      : k_(k),
        shape_(shape),
        starts_(k.document_starts, shape),
        shared_(threads_share_heads(shape, threads)),
        workspace_(workspace) {
    Carved packed(nullptr), tile(nullptr);
    PackedKeys<T>(shape, packed), QueryTile<T>(shape, k.order, tile);
    packed_bytes_ = packed.used_bytes(), tile_bytes_ = tile.used_bytes();
    const Elems busy = threads_with_work(shape, threads);
    tiles_offset_ = (shared_ ? 1 : busy) * packed_bytes_;
    bytes_ = tiles_offset_ + busy * tile_bytes_;
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
  Elems items() const { return shape_.heads / shape_.kv_heads * ceil_div(shape_.tokens, softmax_queries); }
  PackedKeys<T> packed_keys(int slot) const {
    Carved carve(workspace_ + slot * packed_bytes_);
    return PackedKeys<T>(shape_, carve);
  }
  QueryTile<T> query_tile_of(int thread) const {
    Carved carve(workspace_ + tiles_offset_ + thread * tile_bytes_);
    return QueryTile<T>(shape_, k_.order, carve);
  }
  template <typename AnyView>
  AnyView cut(const AnyView& x, Elems sequence, Elems head) const {
    return x.rows_from(sequence * shape_.tokens, shape_.tokens).cols_from(head * shape_.head_dim, shape_.head_dim);
  }
  void pack(const PackedKeys<T>& packed, Elems index, Elems first, Elems count) const {
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads;
    packed.pack(block_products<T>(shape_.head_dim, k_.order), cut(k_.k, sequence, head), cut(k_.v, sequence, head),
                first, count);
  }
  // Item: a query head of the group and a query tile, from both ends of the sequence in turn.
  void run_item(QueryTile<T>& tile, const PackedKeys<T>& packed, Elems index, Elems item) const {
    const Elems tiles = ceil_div(shape_.tokens, softmax_queries), group = shape_.heads / shape_.kv_heads;
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads * group + item / tiles;
    const Elems place = item % tiles, query = (place % 2 == 0 ? place / 2 : tiles - 1 - place / 2) * softmax_queries;
    float* log_sums = elements<float>(k_.log_sum_exp) + (sequence * shape_.heads + head) * shape_.tokens;
    tile.run(packed, {.q = cut(k_.q, sequence, head),
                      .out = cut(k_.out, sequence, head),
                      .log_sums = log_sums,
                      .first = query,
                      .starts = starts_.of(sequence),
                      .scale = k_.scale});
  }

  const AttentionForward& k_;
  const AttentionShape& shape_;
  DocumentStarts starts_;
  bool shared_;
  std::byte* workspace_;
  Bytes packed_bytes_, tile_bytes_, tiles_offset_, bytes_;
};

}  // namespace

void attention_forward(const AttentionForward& k) {
  const AttentionShape shape = shape_of(k);
  const Bytes needed = attention_forward_workspace_bytes(shape, kernel_threads());
  ensure(k.workspace.bytes() >= needed, "attention needs {} bytes of workspace and got {}", needed,
         k.workspace.bytes());
  check_heads(shape, {k.q, k.out}, {k.k, k.v}, k.log_sum_exp);
  with_type(k.q.type, [&](auto type) {
    Forward<decltype(type)>(k, shape, kernel_threads(), static_cast<std::byte*>(k.workspace.data)).run();
  });
}

Bytes attention_forward_workspace_bytes(const AttentionShape& shape, int threads) {
  return shape.type == DType::bf16 ? Forward<bf16>({}, shape, threads, nullptr).bytes()
                                   : Forward<float>({}, shape, threads, nullptr).bytes();
}

}  // namespace trireme
