#pragma once
// How attention cuts its workspace, and how its threads share the work.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "runtime/kernels/attention.h"
#include "runtime/kernels/cpu/check_view.h"

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

/// The shape of a call, forward or backward. Errors: bug where it has no heads or tokens, or not whole ones.
template <typename Attention>
AttentionShape shape_of(const Attention& k) {
  ensure(k.batch > 0 && k.kv_heads > 0 && k.heads > 0 && k.heads % k.kv_heads == 0,
         "attention of {} sequences, {} heads and {} key heads", k.batch, k.heads, k.kv_heads);
  ensure(k.q.rows > 0 && k.q.rows % k.batch == 0 && k.q.cols > 0 && k.q.cols % k.heads == 0,
         "attention: q is [{},{}] of {} sequences and {} heads", k.q.rows, k.q.cols, k.batch, k.heads);
  return {.batch = k.batch,
          .heads = k.heads,
          .kv_heads = k.kv_heads,
          .tokens = k.q.rows / k.batch,
          .head_dim = k.q.cols / k.heads,
          .type = k.q.type};
}

/// Errors: bug for views that are not of the call's shape and type. `queries` have its heads, `keys` its key heads.
inline void check_heads(const AttentionShape& shape, std::initializer_list<ConstView> queries,
                        std::initializer_list<ConstView> keys, const ConstView& log_sum_exp) {
  const Elems tokens = shape.batch * shape.tokens;
  for (const ConstView& x : queries)
    check_matrix("attention: a view of query heads", x, shape.type, tokens, shape.heads * shape.head_dim);
  for (const ConstView& x : keys)
    check_matrix("attention: a view of key heads", x, shape.type, tokens, shape.kv_heads * shape.head_dim);
  check_vector("attention: log_sum_exp", log_sum_exp, DType::f32,
               static_cast<Elems>(shape.batch) * shape.heads * shape.tokens);
}

/// Document starts of the sequences of a call.
class DocumentStarts {
 public:
  /// Errors: bug where they are not as attention.h says.
  DocumentStarts(const ConstView& starts, const AttentionShape& shape) : tokens_(shape.tokens) {
    if (starts.empty()) return;
    check_vector("attention: document_starts", starts, DType::i32, shape.batch * shape.tokens);
    starts_ = starts.as<std::int32_t>();
    for (Elems n = 0; n < starts.elems(); ++n) {
      const Elems place = n % tokens_;
      ensure(starts_[n] == place || (place > 0 && starts_[n] == starts_[n - 1]),
             "attention: token {} of a sequence belongs to a document that starts at {}", place, starts_[n]);
    }
  }
  /// [T], ascending; null where the sequence is one document.
  const std::int32_t* of(Elems sequence) const {
    if (!starts_ || starts_[(sequence + 1) * tokens_ - 1] == 0) return nullptr;
    return starts_ + sequence * tokens_;
  }

 private:
  Elems tokens_;
  const std::int32_t* starts_ = nullptr;
};

}  // namespace trireme::cpu
