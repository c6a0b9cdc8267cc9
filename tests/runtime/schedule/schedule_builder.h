#pragma once
// Schedules for tests: ops are given with what they read and write, events follow from it.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "runtime/schedule/per_stream.h"
#include "runtime/schedule/schedule.h"

namespace trireme::test {

class ScheduleBuilder {
 public:
  explicit ScheduleBuilder(ScheduleKind kind) { schedule_.kind = kind; }

  BufferId add(std::string name, Bytes bytes, Role role = Role::workspace, Lifetime lifetime = Lifetime::step,
               Space space = Space::device) {
    Buffer buffer;
    buffer.name = std::move(name), buffer.role = role, buffer.lifetime = lifetime, buffer.space = space;
    buffer.elems = bytes;
    schedule_.buffers.push_back(buffer);
    users_.emplace_back();
    return static_cast<BufferId>(schedule_.buffers.size()) - 1;
  }

  /// Waits for all earlier ops of other streams that it must follow, and for `after`.
  OpId add(OpKind kind, StreamId stream, std::vector<BufferId> reads, std::vector<BufferId> writes,
           std::vector<OpId> after = {}) {
    Op op;
    op.kind = kind, op.stream = stream;
    const OpId id = static_cast<OpId>(schedule_.ops.size());
    for (BufferId b : reads) after.push_back(users(b).written);
    for (BufferId b : writes) {
      after.push_back(users(b).written);
      after.insert(after.end(), users(b).read.begin(), users(b).read.end());
    }
    for (OpId earlier : after)
      if (earlier >= 0 && schedule_.ops[static_cast<std::size_t>(earlier)].stream != stream)
        op.waits.push_back(earlier);
    std::sort(op.waits.begin(), op.waits.end());
    op.waits.erase(std::unique(op.waits.begin(), op.waits.end()), op.waits.end());
    for (BufferId b : reads) users(b).read[stream] = id;
    for (BufferId b : writes) users(b) = {.written = id};
    for (BufferId b : reads)
      op.operands.push_back(operand(Slot::x, b, contains(writes, b) ? Access::update : Access::read));
    for (BufferId b : writes)
      if (!contains(reads, b)) op.operands.push_back(operand(Slot::out, b, Access::write));
    std::stable_sort(op.operands.begin(), op.operands.end(), stands_before);
    op.records = id;
    schedule_.ops.push_back(std::move(op));
    schedule_.event_count = id + 1;
    return id;
  }

  Schedule finish() && { return std::move(schedule_); }

 private:
  struct Users {
    OpId written = -1;
    OpPerStream read = no_ops;
  };
  static bool contains(const std::vector<BufferId>& ids, BufferId id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }
  // Whatever the kind: x and out.
  Operand operand(Slot slot, BufferId id, Access access) const {
    const bool is_token = schedule_.buffers[static_cast<std::size_t>(id)].role == Role::token;
    return {id, is_token ? Slot::token : slot, access};
  }
  Users& users(BufferId id) { return users_[static_cast<std::size_t>(id)]; }

  Schedule schedule_;
  std::vector<Users> users_;
};

}  // namespace trireme::test
