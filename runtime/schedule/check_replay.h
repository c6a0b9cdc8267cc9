#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/schedule/check.h"
#include "runtime/schedule/op_kinds.h"

namespace trireme::checking {

/// Rule: running the ranks together ends. A collective ends when every rank has begun it, a send and its receive when
/// both have begun; so nothing counts on a transport that buffers.
///
/// In      schedules with valid ids, equal lists of collectives, and sends that match their receives. A peer that is
///         not among them is taken to be ready.
/// Cost    linear in ops and waits: each stream stands at one op and is woken by what that op waits for.
class JointReplay {
 public:
  explicit JointReplay(std::span<const Schedule* const> ranks);

  std::optional<Problem> check();

 private:
  /// One stream of one rank.
  struct Lane {
    std::size_t rank = 0;      // index into ranks_
    std::vector<OpId> ops;     // of the stream, in order
    std::size_t next = 0;      // first op that is not complete
    std::size_t next_wait = 0;  // first wait of that op that is not known to be over
    bool arrived = false;      // it has begun and waits for other ranks
  };
  struct Place {
    std::size_t rank = 0;
    OpId op = 0;
  };
  /// Why a lane stands: `op` of `rank` must come first.
  struct Blocker {
    Place place;
    std::size_t lane = 0;
  };

  void resolve_waits(std::size_t rank);
  void match_messages();
  void advance(std::size_t lane);
  bool waits_are_over(Lane& lane);
  bool meets_others(std::size_t lane);
  void complete(std::size_t lane);
  OpId head(const Lane& lane) const { return lane.ops[lane.next]; }
  const Op& op(Place place) const { return ranks_[place.rank]->ops[static_cast<std::size_t>(place.op)]; }
  bool joins_group(const Op& op) const { return is_collective(op.kind) && op.group != Group::self; }
  std::size_t lane_of(Place place) const;
  const Place* partner(Place place) const;
  Blocker blocker(std::size_t lane) const;
  Problem describe_cycle(std::size_t lane) const;

  std::span<const Schedule* const> ranks_;
  std::vector<Lane> lanes_;                       // [rank * stream_count + stream]
  std::vector<std::vector<std::vector<OpId>>> waits_;  // [rank][op]: the ops that it waits for
  std::vector<std::vector<bool>> complete_;       // [rank][op]
  std::vector<std::unordered_map<OpId, Place>> partners_;  // [rank]: of each send and receive
  std::vector<std::size_t> runnable_;             // lanes that may have become free
  std::vector<std::size_t> in_collective_;        // lanes that have begun the next collective
};

}  // namespace trireme::checking
