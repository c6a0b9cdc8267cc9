#pragma once
// From kind to handler: where comm, models and optim plug in. The executor knows none of them.

#include <array>
#include <cstddef>
#include <functional>
#include <ranges>
#include <utility>

#include "runtime/base/tensor_view.h"
#include "runtime/execute/arenas.h"
#include "runtime/schedule/schedule.h"

namespace trireme {

/// What a handler sees of the op that it executes: its operands by slot.
struct OpContext {
  const Schedule& schedule;
  OpId id;
  const Arenas& arenas;

  const Op& op() const { return schedule.ops[static_cast<std::size_t>(id)]; }
  const Buffer& buffer(BufferId b) const { return schedule.buffers[static_cast<std::size_t>(b)]; }
  /// Null for a buffer without bytes.
  std::byte* address(BufferId b) const {
    return buffer(b).offset ? arenas.of(buffer(b).space).data() + *buffer(b).offset : nullptr;
  }
  /// The whole buffer as one row.
  View view(BufferId b) const { return {address(b), buffer(b).type, buffer(b).elems}; }
  View view(Slot slot) const { return view(op().at(slot)); }
  /// Empty where nothing stands in the slot.
  View view_if_any(Slot slot) const {
    const Operand* const operand = op().find(slot);
    return operand ? view(operand->buffer) : View();
  }
  /// The operands of a slot that holds a list.
  auto list(Slot slot) const {
    return op().operands | std::views::filter([slot](const Operand& operand) { return operand.slot == slot; }) |
           std::views::transform(&Operand::buffer);
  }
  /// The struct that lies in a buffer. Errors: bug when sizes differ.
  template <typename Record>
  Record& record(BufferId b) const {
    ensure(buffer(b).bytes() == static_cast<Bytes>(sizeof(Record)), "buffer {} has {} bytes, not {}", buffer(b).name,
           buffer(b).bytes(), sizeof(Record));
    return *reinterpret_cast<Record*>(address(b));
  }
  template <typename Record>
  Record& record(Slot slot) const {
    return record<Record>(op().at(slot));
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
