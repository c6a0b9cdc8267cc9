#pragma once
// One line of the program: what an operation is, what it touches, and what it waits for. Plain data.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/base/units.h"

namespace trireme {

using BufferId = std::int32_t;  // index into Schedule::buffers
using EventId = std::int32_t;   // 0 .. Schedule::event_count - 1
using OpId = std::int32_t;      // index into Schedule::ops

enum class OpKind : std::uint8_t {
  init,              // masters and optimizer states of a unit, from the seed
  read,              // the same from a model folder
  step_values,       // batch, learning rate, step number: all that differs from step to step
  gather,            // slices of a unit's flat buffer, from all ranks, into `full`
  release,           // completes when every peer has finished reading an exported buffer
  reduce,            // contributions of microbatches, added in order into this rank's slice
  forward,           // one segment of a unit
  recompute,         // the same again, for what backward needs
  backward,          // one segment of a unit
  forward_backward,  // the head with its loss
  round,             // an f32 gradient chain, or the sum of a group of microbatches, to the wire type
  accumulate,        // what is of the wire type, or is rounded to it, added to an f32 sum
  add_uses,          // accumulators of a tensor used by several units, in use order
  square_sum,        // of a unit's accumulated gradient slice, exactly
  all_reduce,        // small exact sums over the ranks
  verdict,           // finite? norm? clip scale? read by every update
  check_finite,      // looks for what is infinite or not a number
  hash,              // of a gradient, for an audit
  update,            // the optimizer, on this rank's slice of a unit
  send,
  receive,
};
inline constexpr int op_kind_count = static_cast<int>(OpKind::receive) + 1;

enum class StreamId : std::uint8_t { compute, comm };
inline constexpr int stream_count = 2;

/// The ranks an op speaks with: itself, the data axis of the mesh, or those of it that are on this node.
enum class Group : std::uint8_t { self, data, node };

const char* name(OpKind kind);
const char* name(StreamId stream);
const char* name(Group group);
/// Errors: Error(config) for a name that is none.
OpKind parse_op_kind(std::string_view text);
StreamId parse_stream(std::string_view text);
Group parse_group(std::string_view text);

/// Whether every rank of the op's group must execute it together.
bool is_collective(OpKind kind);

/// A part of a unit's flat buffer, which lies on the ranks in slices of equal length (rank r owns
/// [r * slice_elems, (r + 1) * slice_elems) of the flat buffer).
struct FlatRange {
  Elems begin = 0, elems = 0, slice_elems = 0;

  /// What rank `rank` owns of this range, in elements of the flat buffer; elems 0 where it owns none of it.
  FlatRange owned_by(int rank) const;
  friend bool operator==(const FlatRange&, const FlatRange&) = default;
};

/// Who adds to a reduce, or whose slice a gather reads (then without microbatches).
struct Contribution {
  int rank = 0;
  std::optional<int> microbatch;  // of the step; the first one where a rank adds a group of them
  friend bool operator==(const Contribution&, const Contribution&) = default;
};

/// One operation. Which buffers stand at which place of `reads` and `writes` is said per kind in
/// `shard/operands.h`; events are derived from them and never set by hand.
struct Op {
  OpKind kind = OpKind::step_values;
  StreamId stream = StreamId::compute;
  Group group = Group::self;
  std::optional<std::int32_t> unit, segment, microbatch;
  std::vector<BufferId> reads, writes;
  std::vector<EventId> waits;
  std::optional<EventId> records;
  FlatRange range;                  // of a gather, reduce, round, add_uses, square_sum, update
  Bytes bytes = 0;                  // payload of a collective: range.elems in the exported type
  std::optional<std::int32_t> from;  // index into Schedule::from_lists
  std::optional<std::int32_t> to;    // index into Schedule::to_lists
  std::optional<std::int32_t> peer;  // of a send or receive

  friend bool operator==(const Op&, const Op&) = default;
};

}  // namespace trireme
