#pragma once
// From kind to handler: where comm, models and optim plug in. The executor knows none of them.

#include <array>
#include <cstddef>
#include <functional>
#include <utility>

#include "runtime/base/tensor_view.h"
#include "runtime/schedule/schedule.h"

namespace trireme {

/// What a handler sees of the op that it executes.
struct OpContext {
  const Schedule& schedule;
  OpId id;
  std::byte* arena;

  const Op& op() const { return schedule.ops[static_cast<std::size_t>(id)]; }
  const Buffer& buffer(BufferId b) const { return schedule.buffers[static_cast<std::size_t>(b)]; }
  /// Null for a buffer without bytes.
  std::byte* address(BufferId b) const { return buffer(b).offset ? arena + *buffer(b).offset : nullptr; }
  /// The whole buffer as one row.
  View view(BufferId b) const { return {address(b), buffer(b).type, buffer(b).elems}; }
  /// The struct that lies in the buffer. Errors: bug when sizes differ.
  template <typename Record>
  Record& record(BufferId b) const {
    ensure(buffer(b).bytes() == static_cast<Bytes>(sizeof(Record)), "buffer {} has {} bytes, not {}", buffer(b).name,
           buffer(b).bytes(), sizeof(Record));
    return *reinterpret_cast<Record*>(address(b));
  }
};

/// Executes one op on the calling thread (the op's stream). May throw Error.
using Handler = std::function<void(const OpContext&)>;

class OpTable {
 public:
  void set(OpKind kind, Handler handler) { handlers_[static_cast<std::size_t>(kind)] = std::move(handler); }
  /// Empty where nothing was set.
  const Handler& find(OpKind kind) const { return handlers_[static_cast<std::size_t>(kind)]; }

 private:
  std::array<Handler, op_kind_count> handlers_;
};

}  // namespace trireme
