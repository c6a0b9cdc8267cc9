#include "runtime/schedule/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>
#include <utility>

#include "runtime/schedule/op_kinds.h"

namespace trireme {
namespace {

class JointReplay {
 public:
  JointReplay(std::span<const Schedule* const> ranks, const OpDuration& duration_us, const GroupMembers& members);

  Replayed run();

 private:
  /// One stream of one rank.
  struct Lane {
    std::size_t rank = 0;              // index into ranks_
    std::vector<OpId> ops;             // of the stream, in order
    std::size_t next = 0;              // first op that is not complete
    std::size_t next_wait = 0;         // first wait of that op that is not known to be over
    bool arrived = false;              // it has begun and waits for other ranks
    double free_us = 0, begun_us = 0;  // its last op ended; the one at which it arrived began
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
  /// Ranks that execute collectives together.
  struct Team {
    std::vector<std::size_t> ranks;
    std::vector<std::size_t> arrived;  // lanes that have begun the next collective
  };

  void resolve_waits(std::size_t rank);
  void find_teams(const GroupMembers& members);
  void match_messages();
  void advance(std::size_t lane);
  bool waits_are_over(Lane& lane);
  bool meets_others(std::size_t lane);
  void complete(std::size_t lane, double end_us);
  double start_us(const Lane& lane) const;
  double duration_us(Place place) const { return duration_us_ ? duration_us_(place.rank, place.op) : 0; }
  OpId head(const Lane& lane) const { return lane.ops[lane.next]; }
  const Op& op(Place place) const { return ranks_[place.rank]->ops[static_cast<std::size_t>(place.op)]; }
  bool joins_team(const Op& op) const { return is_collective(op.kind) && op.group != Group::self; }
  std::size_t team_of(Place place) const { return team_of_[place.rank][static_cast<std::size_t>(op(place).group)]; }
  std::size_t lane_of(Place place) const;
  const Place* partner(Place place) const;
  Blocker blocker(std::size_t lane) const;
  Problem describe_cycle(std::size_t lane) const;

  std::span<const Schedule* const> ranks_;
  const OpDuration& duration_us_;
  std::vector<Lane> lanes_;                                // [rank * stream_count + stream]
  std::vector<std::vector<std::vector<OpId>>> waits_;      // [rank][op]: the ops that it waits for
  std::vector<std::vector<bool>> complete_;                // [rank][op]
  std::vector<std::unordered_map<OpId, Place>> partners_;  // [rank]: of each send and receive
  std::vector<Team> teams_;
  std::vector<std::array<std::size_t, group_count>> team_of_;  // [rank][group]
  std::vector<std::size_t> runnable_;                          // lanes that may have become free
  std::vector<Timeline> timelines_;                            // by rank, where there are durations
};

JointReplay::JointReplay(std::span<const Schedule* const> ranks, const OpDuration& duration_us,
                         const GroupMembers& members)
    : ranks_(ranks),
      duration_us_(duration_us),
      lanes_(ranks.size() * stream_count),
      waits_(ranks.size()),
      complete_(ranks.size()),
      partners_(ranks.size()) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    complete_[rank].resize(ranks[rank]->ops.size());
    for (std::size_t stream = 0; stream < stream_count; ++stream) lanes_[rank * stream_count + stream].rank = rank;
    for (OpId op = 0; op < static_cast<OpId>(ranks[rank]->ops.size()); ++op)
      lanes_[lane_of({rank, op})].ops.push_back(op);
    resolve_waits(rank);
  }
  match_messages();
  find_teams(members);
  if (!duration_us_) return;
  for (const Schedule* schedule : ranks_) timelines_.emplace_back().ops.resize(schedule->ops.size());
}

void JointReplay::find_teams(const GroupMembers& members) {
  std::vector<std::size_t> all(ranks_.size());
  for (std::size_t rank = 0; rank < all.size(); ++rank) all[rank] = rank;
  std::map<std::vector<std::size_t>, std::size_t> known;
  team_of_.resize(ranks_.size());
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
    for (int group = 0; group < group_count; ++group) {
      std::vector<std::size_t> together = members ? members(rank, static_cast<Group>(group)) : all;
      const auto [found, is_new] = known.try_emplace(together, teams_.size());
      if (is_new) teams_.push_back({.ranks = std::move(together), .arrived = {}});
      team_of_[rank][static_cast<std::size_t>(group)] = found->second;
    }
}

std::size_t JointReplay::lane_of(Place place) const {
  return place.rank * stream_count + static_cast<std::size_t>(op(place).stream);
}

// A wait means the last record above it; without one, the first below (which can only end in a cycle, or has no one
// to wait for: a boundary event of an earlier schedule).
void JointReplay::resolve_waits(std::size_t rank) {
  const Schedule& s = *ranks_[rank];
  std::vector<OpId> first(static_cast<std::size_t>(s.event_count), -1), last(first);
  for (const BoundaryEvent& boundary : s.boundary_events) first[static_cast<std::size_t>(boundary.event)] = -2;
  for (OpId op = 0; op < static_cast<OpId>(s.ops.size()); ++op)
    if (const auto event = s.ops[static_cast<std::size_t>(op)].records;
        event && first[static_cast<std::size_t>(*event)] == -1)
      first[static_cast<std::size_t>(*event)] = op;
  waits_[rank].resize(s.ops.size());
  for (OpId op = 0; op < static_cast<OpId>(s.ops.size()); ++op) {
    const Op& x = s.ops[static_cast<std::size_t>(op)];
    for (EventId e : x.waits) {
      const OpId recorded = last[static_cast<std::size_t>(e)] >= 0 ? last[static_cast<std::size_t>(e)]
                                                                   : first[static_cast<std::size_t>(e)];
      if (recorded >= 0) waits_[rank][static_cast<std::size_t>(op)].push_back(recorded);
    }
    if (x.records) last[static_cast<std::size_t>(*x.records)] = op;
  }
}

// Send i to a rank belongs to receive i from the sender.
void JointReplay::match_messages() {
  std::map<std::pair<int, int>, std::pair<std::vector<Place>, std::vector<Place>>> messages;  // by sender, receiver
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
    for (OpId id = 0; id < static_cast<OpId>(ranks_[rank]->ops.size()); ++id) {
      const Op& x = op({rank, id});
      if (x.kind == OpKind::send) messages[{ranks_[rank]->rank, *x.peer}].first.push_back({rank, id});
      if (x.kind == OpKind::receive) messages[{*x.peer, ranks_[rank]->rank}].second.push_back({rank, id});
    }
  for (const auto& [pair, both] : messages)
    for (std::size_t i = 0; i < std::min(both.first.size(), both.second.size()); ++i) {
      const Place send = both.first[i], receive = both.second[i];
      partners_[send.rank][send.op] = receive;
      partners_[receive.rank][receive.op] = send;
    }
}

Replayed JointReplay::run() {
  for (std::size_t lane = lanes_.size(); lane-- > 0;) runnable_.push_back(lane);
  while (!runnable_.empty()) {
    const std::size_t lane = runnable_.back();
    runnable_.pop_back();
    advance(lane);
  }
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane)
    if (lanes_[lane].next < lanes_[lane].ops.size()) return {.problem = describe_cycle(lane), .timelines = {}};
  return {.problem = {}, .timelines = std::move(timelines_)};
}

void JointReplay::advance(std::size_t lane) {
  Lane& l = lanes_[lane];
  while (l.next < l.ops.size() && !l.arrived && waits_are_over(l)) {
    l.begun_us = start_us(l);
    if (!meets_others(lane)) return;
  }
}

bool JointReplay::waits_are_over(Lane& lane) {
  const std::vector<OpId>& waits = waits_[lane.rank][static_cast<std::size_t>(head(lane))];
  while (lane.next_wait < waits.size() && complete_[lane.rank][static_cast<std::size_t>(waits[lane.next_wait])])
    ++lane.next_wait;
  return lane.next_wait == waits.size();
}

double JointReplay::start_us(const Lane& lane) const {
  double start = lane.free_us;
  if (timelines_.empty()) return start;
  for (const OpId earlier : waits_[lane.rank][static_cast<std::size_t>(head(lane))])
    start = std::max(start, timelines_[lane.rank].ops[static_cast<std::size_t>(earlier)].end_us);
  return start;
}

// The head of a lane has begun. True when nobody else is missing: then it is complete, and so are the others' ops.
bool JointReplay::meets_others(std::size_t lane) {
  Lane& l = lanes_[lane];
  const Place here{l.rank, head(l)};
  const Place* const other = partner(here);
  const bool joins = joins_team(op(here));
  if (!joins && !other) {
    complete(lane, l.begun_us + duration_us(here));
    return true;
  }
  std::vector<std::size_t> together = {lane};
  if (joins) {
    Team& others = teams_[team_of(here)];
    if (others.arrived.size() + 1 < others.ranks.size()) {
      others.arrived.push_back(lane);
      l.arrived = true;
      return false;
    }
    together.insert(together.end(), others.arrived.begin(), others.arrived.end());
    others.arrived.clear();
  } else {
    const std::size_t other_lane = lane_of(*other);
    if (!lanes_[other_lane].arrived || head(lanes_[other_lane]) != other->op) {
      l.arrived = true;
      return false;
    }
    together.push_back(other_lane);
  }
  double begun_us = 0, longest_us = 0;
  for (const std::size_t each : together) {
    begun_us = std::max(begun_us, lanes_[each].begun_us);
    longest_us = std::max(longest_us, duration_us({lanes_[each].rank, head(lanes_[each])}));
  }
  for (const std::size_t each : together) complete(each, begun_us + longest_us);
  return true;
}

const JointReplay::Place* JointReplay::partner(Place place) const {
  const auto found = partners_[place.rank].find(place.op);
  return found == partners_[place.rank].end() ? nullptr : &found->second;
}

// Passes the head of a lane and wakes what may stand for it: this lane and the rank's other ones.
void JointReplay::complete(std::size_t lane, double end_us) {
  Lane& l = lanes_[lane];
  if (!timelines_.empty()) timelines_[l.rank].ops[static_cast<std::size_t>(head(l))] = {l.begun_us, end_us};
  l.free_us = end_us;
  complete_[l.rank][static_cast<std::size_t>(head(l))] = true;
  ++l.next;
  l.next_wait = 0;
  const bool was_waiting = std::exchange(l.arrived, false);
  for (std::size_t other = l.rank * stream_count; other < (l.rank + 1) * stream_count; ++other) {
    const Lane& o = lanes_[other];
    if (other == lane ? was_waiting
                      : o.next < o.ops.size() && o.next_wait < waits_[o.rank][static_cast<std::size_t>(head(o))].size())
      runnable_.push_back(other);
  }
}

JointReplay::Blocker JointReplay::blocker(std::size_t lane) const {
  const Lane& l = lanes_[lane];
  const Place here{l.rank, head(l)};
  if (!l.arrived) {
    const Place earlier{l.rank, waits_[l.rank][static_cast<std::size_t>(here.op)][l.next_wait]};
    return {earlier, lane_of(earlier)};
  }
  if (const Place* other = partner(here)) return {*other, lane_of(*other)};
  // A collective: some rank has not begun it.
  const Team& others = teams_[team_of(here)];
  for (const std::size_t rank : others.ranks) {
    const std::size_t other = rank * stream_count + static_cast<std::size_t>(op(here).stream);
    if (std::ranges::find(others.arrived, other) != others.arrived.end()) continue;
    const Lane& o = lanes_[other];
    for (std::size_t i = o.next; i < o.ops.size(); ++i)
      if (const Place first{rank, o.ops[i]}; joins_team(op(first)) && team_of(first) == team_of(here))
        return {first, other};
  }
  return {here, lane};
}

Problem JointReplay::describe_cycle(std::size_t lane) const {
  std::vector<std::size_t> path;
  while (std::find(path.begin(), path.end(), lane) == path.end()) {
    path.push_back(lane);
    lane = blocker(lane).lane;
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), lane));
  std::string message = "cyclic wait:";
  for (std::size_t i = 0; i < path.size(); ++i) {
    const Lane& l = lanes_[path[i]];
    const Blocker next = blocker(path[i]);
    const OpId stands = head(lanes_[next.lane]);
    const Schedule& other = *ranks_[next.place.rank];
    message += fmt::format("{} rank {} {} waits for rank {} {}", i ? ";" : "", ranks_[l.rank]->rank,
                           describe(*ranks_[l.rank], head(l)), other.rank, describe(other, next.place.op));
    if (stands != next.place.op) message += fmt::format(", which is behind {}", describe(other, stands));
  }
  const Lane& first = lanes_[path.front()];
  return {ranks_[first.rank]->kind, head(first), message};
}

}  // namespace

Replayed replay(std::span<const Schedule* const> ranks, const OpDuration& duration_us, const GroupMembers& members) {
  return JointReplay(ranks, duration_us, members).run();
}

}  // namespace trireme
