#include "runtime/schedule/op.h"

#include <algorithm>

#include "runtime/base/error.h"

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

const char* name(StreamId stream) {
  switch (stream) {
    case StreamId::compute: return "compute";
    case StreamId::comm: return "comm";
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
  for (int i = 0; i < op_kind_count; ++i)
    if (text == name(static_cast<OpKind>(i))) return static_cast<OpKind>(i);
  throw Error(ErrorKind::config, fmt::format("'{}' is not a kind of op; expected for example gather or forward", text));
}

StreamId parse_stream(std::string_view text) {
  for (StreamId stream : {StreamId::compute, StreamId::comm})
    if (text == name(stream)) return stream;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a stream; expected compute or comm", text));
}

Group parse_group(std::string_view text) {
  for (Group group : {Group::self, Group::data, Group::node})
    if (text == name(group)) return group;
  throw Error(ErrorKind::config, fmt::format("'{}' is not a group; expected self, data or node", text));
}

bool is_collective(OpKind kind) {
  switch (kind) {
    case OpKind::gather:
    case OpKind::reduce:
    case OpKind::all_reduce: return true;
    case OpKind::init:
    case OpKind::read:
    case OpKind::step_values:
    case OpKind::release:
    case OpKind::forward:
    case OpKind::recompute:
    case OpKind::backward:
    case OpKind::forward_backward:
    case OpKind::round:
    case OpKind::accumulate:
    case OpKind::add_uses:
    case OpKind::square_sum:
    case OpKind::verdict:
    case OpKind::check_finite:
    case OpKind::hash:
    case OpKind::update:
    case OpKind::send:
    case OpKind::receive: return false;
  }
  return false;
}

FlatRange FlatRange::owned_by(int rank) const {
  const Elems first = std::max(begin, rank * slice_elems);
  const Elems end = std::min(begin + elems, (rank + 1) * slice_elems);
  return {first, std::max<Elems>(0, end - first), slice_elems};
}

}  // namespace trireme
