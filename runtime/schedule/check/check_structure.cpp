#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "runtime/schedule/check/check_sequence.h"
#include "runtime/schedule/op_kinds.h"

namespace trireme::checking {
namespace {

using Fault = std::optional<std::string>;

template <typename List>
bool in_range(std::int32_t index, const List& list) {
  return index >= 0 && static_cast<std::size_t>(index) < list.size();
}

class Structure {
 public:
  Structure(const Schedule& schedule, RecordPlace records)
      : s_(schedule), records_(records), recorded_(static_cast<std::size_t>(std::max(0, s_.event_count))) {}

  std::optional<Problem> check() {
    if (Fault fault = check_tables()) return Problem{s_.kind, 0, fmt::format("schedule {}: {}", name(s_.kind), *fault)};
    for (OpId id = 0; id < static_cast<OpId>(s_.ops.size()); ++id) {
      const Op& op = s_.ops[static_cast<std::size_t>(id)];
      Fault fault = check_ids(op);
      if (!fault) fault = check_events(op);
      if (!fault) fault = check_kind(op);
      if (fault) return Problem{s_.kind, id, fmt::format("{} {}", describe(s_, id), *fault)};
    }
    return std::nullopt;
  }

 private:
  Fault check_tables() {
    std::unordered_set<std::string_view> names;
    names.reserve(s_.buffers.size());
    for (const Buffer& b : s_.buffers) {
      if (!names.insert(b.name).second) return fmt::format("two buffers have the name {}", b.name);
      if (b.elems < 0) return fmt::format("buffer {} has {} elements", b.name, b.elems);
      if (b.role == Role::token && b.elems != 0)
        return fmt::format("token {} has {} elements, must have none", b.name, b.elems);
      if (b.offset && b.elems != 0 && (*b.offset < 0 || *b.offset % 256 != 0))
        return fmt::format("buffer {} lies at offset {:#x}, which is no multiple of 256", b.name, *b.offset);
    }
    std::unordered_set<std::string_view> boundaries;
    for (const BoundaryEvent& b : s_.boundary_events) {
      if (!in_range(b.event, recorded_)) return fmt::format("boundary event e{} of {} does not exist", b.event, b.name);
      if (!boundaries.insert(b.name).second || recorded_[static_cast<std::size_t>(b.event)])
        return fmt::format("boundary event e{} of {} is there twice", b.event, b.name);
      recorded_[static_cast<std::size_t>(b.event)] = true;  // by an earlier schedule, or never needed
    }
    if (records_ == RecordPlace::anywhere)
      for (const Op& op : s_.ops)
        if (op.records && in_range(*op.records, recorded_)) recorded_[static_cast<std::size_t>(*op.records)] = true;
    return std::nullopt;
  }

  Fault check_ids(const Op& op) const {
    for (const Operand& operand : op.operands)
      if (!in_range(operand.buffer, s_.buffers))
        return fmt::format("names buffer number {}, which does not exist", operand.buffer);
    if (op.from && !in_range(*op.from, s_.from_lists))
      return fmt::format("names from list {}, which does not exist", *op.from);
    if (op.to && !in_range(*op.to, s_.to_lists)) return fmt::format("names to list {}, which does not exist", *op.to);
    return std::nullopt;
  }

  Fault check_events(const Op& op) {
    for (EventId e : op.waits) {
      if (!in_range(e, recorded_)) return fmt::format("waits for e{}, which does not exist", e);
      if (!recorded_[static_cast<std::size_t>(e)])
        return fmt::format("waits for e{}, which no op {} records", e,
                           records_ == RecordPlace::above ? "above it" : "of the schedule");
    }
    if (op.records && !in_range(*op.records, recorded_))
      return fmt::format("records e{}, which does not exist", *op.records);
    if (op.records) recorded_[static_cast<std::size_t>(*op.records)] = true;
    return std::nullopt;
  }

  Fault check_kind(const Op& op) const {
    const bool speaks = is_collective(op.kind) || op.kind == OpKind::release;
    if (speaks && op.stream != StreamId::comm)
      return fmt::format("stands on stream {}; collectives and releases must stand on comm", name(op.stream));
    const bool has_peer = op.kind == OpKind::send || op.kind == OpKind::receive;
    if (has_peer && (!op.peer || *op.peer < 0 || *op.peer >= s_.world || *op.peer == s_.rank))
      return fmt::format("must name another rank below {} as its peer", s_.world);
    if (op.kind == OpKind::release) return check_release(op);
    if (op.kind == OpKind::gather || op.kind == OpKind::reduce) return check_export(op);
    return std::nullopt;
  }

  Fault check_release(const Op& op) const {
    if (const Operand* released = op.find(Slot::exported); released && buffer(released->buffer).exported)
      return std::nullopt;
    return "releases nothing: it must read an exported buffer";
  }

  // Peers can only read what is exported.
  Fault check_export(const Op& op) const {
    const Operand* const read = op.find(op.kind == OpKind::gather ? Slot::slice : Slot::gradient);
    if (read && !buffer(read->buffer).exported)
      return fmt::format("reads {} for its peers, which is not exported", buffer(read->buffer).name);
    return std::nullopt;
  }

  const Buffer& buffer(BufferId id) const { return s_.buffers[static_cast<std::size_t>(id)]; }

  const Schedule& s_;
  const RecordPlace records_;
  std::vector<bool> recorded_;  // by event
};

// What must be equal for two buffers to be one.
bool same(const Buffer& a, const Buffer& b) {
  return a.role == b.role && a.space == b.space && a.lifetime == b.lifetime && a.type == b.type && a.elems == b.elems &&
         a.exported == b.exported && a.offset == b.offset;
}

}  // namespace

std::optional<Problem> check_structure(const Schedule& schedule, RecordPlace records) {
  return Structure(schedule, records).check();
}

std::optional<Problem> check_same_buffers(std::span<const Schedule* const> sequence) {
  struct Place {
    const Schedule* schedule;
    const Buffer* buffer;
  };
  std::unordered_map<std::string_view, Place> shared;
  for (const Schedule* schedule : sequence)
    for (const Buffer& buffer : schedule->buffers) {
      if (buffer.lifetime == Lifetime::step) continue;
      const Place& first = shared.emplace(buffer.name, Place{schedule, &buffer}).first->second;
      if (!same(*first.buffer, buffer))
        return Problem{schedule->kind, 0,
                       fmt::format("buffer {} is one in all schedules of a run, but differs between {} and {} "
                                   "(role, space, lifetime, type, elements, exported or offset)",
                                   buffer.name, name(first.schedule->kind), name(schedule->kind))};
    }
  return std::nullopt;
}

}  // namespace trireme::checking
