#pragma once
// How attention cuts its workspace, and how its threads share the work.

#include <algorithm>
#include <cstddef>

#include "runtime/kernels/attention.h"

namespace trireme::cpu {

/// Cuts scratch from a block of bytes; cuts nothing, and counts, from a null one.
class Carved {
 public:
  explicit Carved(std::byte* base) : base_(base) {}

  template <typename T>
  T* take(Elems count) {
    T* at = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += align_up(count * static_cast<Bytes>(sizeof(T)), 64);
    return at;
  }
  Bytes used_bytes() const { return used_; }

 private:
  std::byte* base_;
  Bytes used_ = 0;
};

/// Whether all threads work on one key head at a time: where a key head per thread would leave threads idle, and the
/// sequence is long enough to pay for their meetings. Bits do not depend on it.
inline bool threads_share_heads(const AttentionShape& shape, int threads) {
  const Elems heads = static_cast<Elems>(shape.batch) * shape.kv_heads, turns = ceil_div(heads, threads);
  return shape.tokens >= 1024 && turns * threads * 10 > heads * 11;
}

/// Threads that need scratch.
inline Elems threads_with_work(const AttentionShape& shape, int threads) {
  if (threads_share_heads(shape, threads)) return threads;
  return std::min<Elems>(threads, static_cast<Elems>(shape.batch) * shape.kv_heads);
}

/// The shape of a call; works for forward and backward.
template <typename Attention>
AttentionShape shape_of(const Attention& k) {
  return {.batch = k.batch, .heads = k.heads, .kv_heads = k.kv_heads, .tokens = k.q.rows / k.batch,
          .head_dim = k.q.cols / k.heads, .type = k.q.type};
}

}  // namespace trireme::cpu
