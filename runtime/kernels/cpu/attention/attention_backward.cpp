#include <algorithm>
#include <atomic>

#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/attention/attention_key_tile.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

using namespace cpu;

/// The whole call. Threads have a key head each, or share one after the other.
template <typename T>
class Backward {
 public:
  Backward(const AttentionBackward& k, const AttentionShape& shape, int threads, std::byte* workspace)
      : k_(k),
        shape_(shape),
        starts_(k.document_starts, shape),
        threads_(threads),
        shared_(threads_share_heads(shape, threads)),
        workspace_(workspace) {
    Carved heads(nullptr), tile(nullptr);
    QueryHeads<T>(shape, k.order, heads), KeyTile<T>(shape, k.order, tile);
    heads_bytes_ = heads.used_bytes(), tile_bytes_ = tile.used_bytes();
    const Elems busy = threads_with_work(shape, threads);
    tiles_offset_ = (shared_ ? 1 : busy) * heads_bytes_;
    bytes_ = tiles_offset_ + busy * tile_bytes_;
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
    return QueryHeads<T>(shape_, k_.order, carve);
  }
  KeyTile<T> key_tile_of(int thread) const {
    Carved carve(workspace_ + tiles_offset_ + thread * tile_bytes_);
    return KeyTile<T>(shape_, k_.order, carve);
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
    // Key tiles before the document of the first query do not add to this step: the first that does need not wait.
    const std::int32_t* starts = starts_.of(sequence);
    heads.key_tiles_added[(g * heads.tokens + query) / query_step] =
        starts ? starts[query] / static_cast<int>(key_tile) : 0;
    if (item == 0) *heads.next_key_tile = 0;
  }

  // Threads that share the head take key tiles in ascending order until there are no more. A tile waits only for those
  // before it, which somebody took earlier: no deadlock on any number of threads.
  void share_key_tiles(const QueryHeads<T>& heads, Elems index, int thread) const {
    KeyTile<T> tile = key_tile_of(thread);
    const std::atomic_ref<int> next(*heads.next_key_tile);
    for (Elems key = next++ * key_tile; key < shape_.tokens; key = next++ * key_tile)
      run_key_tile(tile, heads, index, key);
  }
  void run_key_tiles(const QueryHeads<T>& heads, Elems index, int thread) const {
    KeyTile<T> tile = key_tile_of(thread);
    for (Elems key = 0; key < shape_.tokens; key += key_tile) run_key_tile(tile, heads, index, key);
  }
  void run_key_tile(KeyTile<T>& tile, const QueryHeads<T>& heads, Elems index, Elems key) const {
    const Elems sequence = index / shape_.kv_heads, head = index % shape_.kv_heads, t = shape_.tokens;
    const Elems keys = std::min(key_tile, t - key);
    tile.run(heads, {.k = cut(k_.k, sequence, head).rows_from(key, keys),
                     .v = cut(k_.v, sequence, head).rows_from(key, keys),
                     .dk = cut(k_.dk, sequence, head).rows_from(key, keys),
                     .dv = cut(k_.dv, sequence, head).rows_from(key, keys),
                     .first = key,
                     .log_sums = elements<float>(k_.log_sum_exp) + (sequence * shape_.heads + head * heads.group) * t,
                     .starts = starts_.of(sequence),
                     .scale = k_.scale,
                     .take_turns = shared_});
  }

  void finish(const QueryHeads<T>& heads, Elems index, Elems item) const {
    const Elems steps = heads.tokens / query_step, g = item / steps, query = item % steps * query_step;
    const View dq = cut(k_.dq, index / shape_.kv_heads, index % shape_.kv_heads * heads.group + g);
    store_rows(attention_rows<T>(), heads.dq + (g * heads.tokens + query) * heads.width, heads.width, k_.scale,
               dq.rows_from(query, std::min(query_step, shape_.tokens - query)));
  }

  const AttentionBackward& k_;
  const AttentionShape& shape_;
  DocumentStarts starts_;
  int threads_;
  bool shared_;
  std::byte* workspace_;
  Bytes heads_bytes_, tile_bytes_, tiles_offset_, bytes_;
};

}  // namespace

void attention_backward(const AttentionBackward& k) {
  const AttentionShape shape = shape_of(k);
  const Bytes needed = attention_backward_workspace_bytes(shape, kernel_threads());
  ensure(k.workspace.bytes() >= needed, "attention needs {} bytes of workspace and got {}", needed,
         k.workspace.bytes());
  check_heads(shape, {k.q, k.out, k.d_out, k.dq}, {k.k, k.v, k.dk, k.dv}, k.log_sum_exp);
  with_type(k.q.type, [&](auto type) {
    Backward<decltype(type)>(k, shape, kernel_threads(), static_cast<std::byte*>(k.workspace.data)).run();
  });
}

Bytes attention_backward_workspace_bytes(const AttentionShape& shape, int threads) {
  return shape.type == DType::bf16 ? Backward<bf16>({}, shape, threads, nullptr).bytes()
                                   : Backward<float>({}, shape, threads, nullptr).bytes();
}

}  // namespace trireme
