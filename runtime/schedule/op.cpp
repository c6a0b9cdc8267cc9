#include "runtime/schedule/op.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/schedule/enum_names.h"

namespace trireme {

const char* name(OpKind kind) {
  switch (kind) {
    case OpKind::init: return "init";
    case OpKind::read: return "read";
    case OpKind::step_values: return "step_values";
    case OpKind::gather: return "gather";
    case OpKind::release: return "release";
    case OpKind::reduce: return "reduce";
    case OpKind::forward: return "forward";
    case OpKind::recompute: return "recompute";
    case OpKind::backward: return "backward";
    case OpKind::forward_backward: return "forward_backward";
    case OpKind::round: return "round";
    case OpKind::accumulate: return "accumulate";
    case OpKind::add_uses: return "add_uses";
    case OpKind::square_sum: return "square_sum";
    case OpKind::all_reduce: return "all_reduce";
    case OpKind::verdict: return "verdict";
    case OpKind::check_finite: return "check_finite";
    case OpKind::hash: return "hash";
    case OpKind::update: return "update";
    case OpKind::send: return "send";
    case OpKind::receive: return "receive";
  }
  return "unknown";
}

const char* name(Slot slot) {
  switch (slot) {
    case Slot::slice: return "slice";
    case Slot::exported: return "exported";
    case Slot::gradient: return "gradient";
    case Slot::full: return "full";
    case Slot::parameters: return "parameters";
    case Slot::frozen: return "frozen";
    case Slot::tied: return "tied";
    case Slot::d_out: return "d_out";
    case Slot::x: return "x";
    case Slot::saved: return "saved";
    case Slot::batch: return "batch";
    case Slot::constants: return "constants";
    case Slot::tokens: return "tokens";
    case Slot::values: return "values";
    case Slot::out: return "out";
    case Slot::d_x: return "d_x";
    case Slot::choice: return "choice";
    case Slot::tied_gradient: return "tied_gradient";
    case Slot::chain: return "chain";
    case Slot::other: return "other";
    case Slot::accumulator: return "accumulator";
    case Slot::checked: return "checked";
    case Slot::hashes: return "hashes";
    case Slot::message: return "message";
    case Slot::sums: return "sums";
    case Slot::counters: return "counters";
    case Slot::verdict: return "verdict";
    case Slot::finding: return "finding";
    case Slot::master: return "master";
    case Slot::states: return "states";
    case Slot::batches: return "batches";
    case Slot::audit_batch: return "audit_batch";
    case Slot::staging: return "staging";
    case Slot::workspace: return "workspace";
    case Slot::token: return "token";
  }
  return "unknown";
}

const char* name(StreamId stream) {
  switch (stream) {
    case StreamId::compute: return "compute";
    case StreamId::comm: return "comm";
    case StreamId::copy: return "copy";
    case StreamId::io: return "io";
  }
  return "unknown";
}

const char* name(Group group) {
  switch (group) {
    case Group::self: return "self";
    case Group::data: return "data";
    case Group::node: return "node";
  }
  return "unknown";
}

OpKind parse_op_kind(std::string_view text) {
  if (const auto found = find_by_name<OpKind>(text, op_kind_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a kind of op; expected for example gather or forward", text));
}

Slot parse_slot(std::string_view text) {
  if (const auto found = find_by_name<Slot>(text, slot_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a slot; expected for example x or workspace", text));
}

StreamId parse_stream(std::string_view text) {
  if (const auto found = find_by_name<StreamId>(text, stream_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a stream; expected compute, comm, copy or io", text));
}

Group parse_group(std::string_view text) {
  if (const auto found = find_by_name<Group>(text, group_count)) return *found;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a group; expected self, data or node", text));
}

FlatRange FlatRange::owned_by(int rank) const {
  const Elems first = std::max(begin, rank * slice_elems);
  const Elems end = std::min(begin + elems, (rank + 1) * slice_elems);
  return {first, std::max<Elems>(0, end - first), slice_elems};
}

bool stands_before(const Operand& a, const Operand& b) {
  return a.slot != b.slot ? a.slot < b.slot : a.access < b.access;
}

bool Op::reads(BufferId buffer) const {
  return std::any_of(operands.begin(), operands.end(),
                     [&](const Operand& o) { return o.buffer == buffer && o.reads(); });
}

bool Op::writes(BufferId buffer) const {
  return std::any_of(operands.begin(), operands.end(),
                     [&](const Operand& o) { return o.buffer == buffer && o.writes(); });
}

const Operand* Op::find(Slot slot) const {
  const auto found = std::find_if(operands.begin(), operands.end(), [&](const Operand& o) { return o.slot == slot; });
  return found == operands.end() ? nullptr : &*found;
}

BufferId Op::at(Slot slot) const {
  const Operand* const found = find(slot);
  ensure(found != nullptr, "{} has nothing in slot {}", name(kind), name(slot));
  return found->buffer;
}

void Op::add(Operand operand) {
  // A program has many ops, each with its few for good: no room for as many again.
  if (operands.size() == operands.capacity()) operands.reserve(operands.size() + 1);
  const auto behind = std::upper_bound(operands.begin(), operands.end(), operand, stands_before);
  operands.insert(behind, operand);
}

void Op::remove(Slot slot) {
  std::erase_if(operands, [&](const Operand& o) { return o.slot == slot; });
}

}  // namespace trireme
