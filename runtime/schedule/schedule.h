#pragma once
// A program of one rank: buffers, operations in submission order, events. Built before step 0, never changed after.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/dtype.h"
#include "runtime/base/units.h"
#include "runtime/schedule/op.h"

namespace trireme {

/// What a buffer is for; the rows of the printed plan.
enum class Role : std::uint8_t {
  parameters,  // f32 masters and the exported slices
  gathered,    // full units, for one use
  gradients,   // wire gradients and accumulators
  optimizer,   // AdamW m and v
  activations,
  workspace,
  communication,  // staging of a transport
  data,           // batches, values of the step, sums
  token,          // no bytes: carries order alone
};
inline constexpr int role_count = 9;

/// What the code asks a buffer for by itself; all else is known by the slots of the ops that use it.
enum class Content : std::uint8_t {
  other,
  master,       // f32 parameters of a unit
  state,        // of the optimizer, for a unit
  exported,     // parameters of a unit, for peers
  accumulator,  // the sum of a step's gradients of a unit
  group_sum,    // the sum of a group of microbatches
  constants,    // the structs of shard/step_records.h, and tables
  counters,
  values,
  tokens,
  sums,
  verdict,
  choice,
  finding,
  own_hashes,  // of an audit
  replayed_hashes,
  replayed_sums,
  received_hashes,
};
inline constexpr int content_count = static_cast<int>(Content::received_hashes) + 1;

/// Where bytes lie; of each a run has one arena.
enum class Space : std::uint8_t { device, host, disk };
inline constexpr int space_count = 3;

/// `step`: bytes are taken from first to last use. `persistent`: taken in every schedule of the run. `carried`: written
/// at the end of one schedule (enter, step), read at the start of the next; free in all others.
/// Persistent and carried buffers of equal name are one buffer in all schedules of a run.
enum class Lifetime : std::uint8_t { step, carried, persistent };
inline constexpr int lifetime_count = 3;

/// The programs of a run. A step is any that ends with updates.
enum class ScheduleKind : std::uint8_t { init, load, enter, step, step_with_audit, diagnose, validate, sample };
inline constexpr int schedule_kind_count = static_cast<int>(ScheduleKind::sample) + 1;
bool is_step(ScheduleKind kind);

const char* name(Role role);
const char* name(Content content);
const char* name(ScheduleKind kind);
const char* name(Space space);
const char* name(Lifetime lifetime);
/// Errors: Error(config) for a name that is none.
Role parse_role(std::string_view text);
Content parse_content(std::string_view text);
ScheduleKind parse_schedule_kind(std::string_view text);
Space parse_space(std::string_view text);
Lifetime parse_lifetime(std::string_view text);

struct Buffer {
  std::string name;  // unique in its schedule; no blanks, no commas
  Role role = Role::workspace;
  Space space = Space::device;
  Lifetime lifetime = Lifetime::step;
  DType type = DType::byte;
  Content content = Content::other;
  std::uint8_t state = 0;            // of several states its number, in the order in which the optimizer declares them
  std::optional<std::int32_t> unit;  // whose content it is
  Elems elems = 0;                   // 0 for a token
  bool exported = false;             // peers read it: writes must wait for its release
  std::optional<Bytes> offset;       // in the arena of its space; absent until planned, and for tokens

  Bytes bytes() const { return elems * size_bytes(type); }
  friend bool operator==(const Buffer&, const Buffer&) = default;
};

/// An event that outlives its schedule: it carries a dependency into the next one.
struct BoundaryEvent {
  EventId event = 0;
  std::string name;  // of the persistent or carried buffer it belongs to; equal in all schedules of a run
  friend bool operator==(const BoundaryEvent&, const BoundaryEvent&) = default;
};

/// Ops of one stream run in list order; ops of different streams only as events order them. A wait means the most
/// recent record of that event above it in the list, or, for a boundary event without one, the most recent record in
/// the schedules that ran before (if none ever recorded it, the wait passes).
struct Schedule {
  ScheduleKind kind = ScheduleKind::step;
  int rank = 0, world = 1;
  std::vector<Buffer> buffers;
  std::vector<Op> ops;
  std::vector<std::vector<Contribution>> from_lists;  // each list once; ops refer to it by index
  std::vector<std::vector<int>> to_lists;
  EventId event_count = 0;
  std::vector<BoundaryEvent> boundary_events;

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

/// "gather unit 4 (op 12)": how messages call an op.
std::string describe(const Schedule& schedule, OpId op);

}  // namespace trireme
