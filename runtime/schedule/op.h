#pragma once
// One line of the program: what an operation is, what it touches, and what it waits for. Plain data.

#include <array>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/dtype.h"
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

/// Ops of one stream run in list order. `copy` moves bytes between spaces, `io` between host space and files.
enum class StreamId : std::uint8_t { compute, comm, copy, io };
inline constexpr std::array all_streams = {StreamId::compute, StreamId::comm, StreamId::copy, StreamId::io};
inline constexpr int stream_count = static_cast<int>(all_streams.size());

/// The ranks an op speaks with: itself, the data axis of the mesh, or those of it that are on this node.
enum class Group : std::uint8_t { self, data, node };
inline constexpr int group_count = 3;

/// What an operand is to its op. An op's operands stand in this order; which kind has which is in op_kinds.cpp.
enum class Slot : std::uint8_t {
  slice,          // this rank's part of a flat buffer, for all ranks of the group
  exported,       // what peers read
  gradient,       // of one microbatch, or of a group of them
  full,           // a flat buffer, whole or in part
  parameters,     // gathered: of a unit, or its frozen ones where it has no others
  frozen,         // gathered: frozen parameters of a unit that has others, too
  tied,           // gathered: a tensor of another unit
  d_out,          // gradient of the output
  x,              // input
  saved,          // what backward needs of forward
  batch,          // tokens, targets, positions, weights of one microbatch
  constants,      // tables that depend on the configuration alone
  tokens,         // how many targets count
  values,         // what differs from step to step
  out,            // output
  d_x,            // gradient of the input
  choice,         // the most likely next token
  tied_gradient,  // of a tensor of another unit
  chain,          // an f32 chain or sum, not yet rounded
  other,          // the accumulator of another use
  accumulator,    // an f32 sum of gradients
  checked,        // what may hold no infinity and no NaN
  hashes,         // of gradients
  message,        // to or from one peer
  sums,           // loss, squares, counts
  counters,       // persistent counts
  verdict,        // what updates obey
  finding,        // the first thing that is not finite
  master,         // f32 parameters
  states,         // of the optimizer
  batches,        // one of each local microbatch
  audit_batch,    // a neighbour's microbatch
  staging,        // of a transport or a file
  workspace,
  token,  // no operand: carries order alone
};
inline constexpr int slot_count = static_cast<int>(Slot::token) + 1;

/// `update` reads what it writes.
enum class Access : std::uint8_t { read, write, update };

/// A buffer that an op touches, and as what.
struct Operand {
  BufferId buffer = 0;
  Slot slot = Slot::token;
  Access access = Access::read;

  bool reads() const { return access != Access::write; }
  bool writes() const { return access != Access::read; }
  friend bool operator==(const Operand&, const Operand&) = default;
};
/// The order of an op's operands: by slot; of one slot, and of tokens, what is read first.
bool stands_before(const Operand& a, const Operand& b);

constexpr Operand reads(Slot slot, BufferId buffer) { return {buffer, slot, Access::read}; }
constexpr Operand writes(Slot slot, BufferId buffer) { return {buffer, slot, Access::write}; }
constexpr Operand updates(Slot slot, BufferId buffer) { return {buffer, slot, Access::update}; }
constexpr Operand takes(BufferId token) { return {token, Slot::token, Access::read}; }
constexpr Operand gives(BufferId token) { return {token, Slot::token, Access::write}; }

const char* name(OpKind kind);
const char* name(Slot slot);
const char* name(StreamId stream);
const char* name(Group group);
/// Errors: Error(config) for a name that is none.
OpKind parse_op_kind(std::string_view text);
Slot parse_slot(std::string_view text);
StreamId parse_stream(std::string_view text);
Group parse_group(std::string_view text);

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

/// One operation. Events are derived from its operands and tokens, and never set by hand.
struct Op {
  OpKind kind = OpKind::step_values;
  StreamId stream = StreamId::compute;
  Group group = Group::self;
  std::optional<std::int32_t> unit, segment, microbatch;
  std::vector<Operand> operands;  // by slot, tokens last
  std::vector<EventId> waits;
  std::optional<EventId> records;
  FlatRange range;                   // of a gather, reduce, round, add_uses, square_sum, update
  std::optional<DType> wire;         // of a gather or reduce: the type that is sent
  Bytes bytes = 0;                   // payload of a collective: range.elems in that type
  std::optional<std::int32_t> from;  // index into Schedule::from_lists
  std::optional<std::int32_t> to;    // index into Schedule::to_lists
  std::optional<std::int32_t> peer;  // of a send or receive

  /// Buffers that it reads, and those that it writes, in the order of operands; an updated one is in both.
  auto reads() const {
    return operands | std::views::filter(&Operand::reads) | std::views::transform(&Operand::buffer);
  }
  auto writes() const {
    return operands | std::views::filter(&Operand::writes) | std::views::transform(&Operand::buffer);
  }
  bool reads(BufferId buffer) const;
  bool writes(BufferId buffer) const;

  /// The operand in a slot; none where nothing stands in it. Of a list the first.
  const Operand* find(Slot slot) const;
  Operand* find(Slot slot) { return const_cast<Operand*>(std::as_const(*this).find(slot)); }
  bool has(Slot slot) const { return find(slot) != nullptr; }
  /// Its buffer. Errors: bug where nothing stands in it.
  BufferId at(Slot slot) const;

  /// Puts an operand in its place.
  void add(Operand operand);
  void remove(Slot slot);

  friend bool operator==(const Op&, const Op&) = default;
};

}  // namespace trireme
