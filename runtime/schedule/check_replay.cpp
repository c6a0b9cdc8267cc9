#include "runtime/schedule/check_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace trireme::checking {

JointReplay::JointReplay(std::span<const Schedule* const> ranks)
    : ranks_(ranks), lanes_(ranks.size() * stream_count), waits_(ranks.size()), complete_(ranks.size()),
      partners_(ranks.size()) {
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    complete_[rank].resize(ranks[rank]->ops.size());
    for (std::size_t stream = 0; stream < stream_count; ++stream) lanes_[rank * stream_count + stream].rank = rank;
    for (OpId op = 0; op < static_cast<OpId>(ranks[rank]->ops.size()); ++op)
      lanes_[lane_of({rank, op})].ops.push_back(op);
    resolve_waits(rank);
  }
  match_messages();
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
    if (const auto event = s.ops[static_cast<std::size_t>(op)].records; event && first[static_cast<std::size_t>(*event)] == -1)
      first[static_cast<std::size_t>(*event)] = op;
  waits_[rank].resize(s.ops.size());
  for (OpId op = 0; op < static_cast<OpId>(s.ops.size()); ++op) {
    const Op& x = s.ops[static_cast<std::size_t>(op)];
    for (EventId e : x.waits) {
      const OpId recorded = last[static_cast<std::size_t>(e)] >= 0 ? last[static_cast<std::size_t>(e)] : first[static_cast<std::size_t>(e)];
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

std::optional<Problem> JointReplay::check() {
  for (std::size_t lane = lanes_.size(); lane-- > 0;) runnable_.push_back(lane);
  while (!runnable_.empty()) {
    const std::size_t lane = runnable_.back();
    runnable_.pop_back();
    advance(lane);
  }
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane)
    if (lanes_[lane].next < lanes_[lane].ops.size()) return describe_cycle(lane);
  return std::nullopt;
}

void JointReplay::advance(std::size_t lane) {
  Lane& l = lanes_[lane];
  while (l.next < l.ops.size() && !l.arrived && waits_are_over(l)) {
    if (!meets_others(lane)) return;
    complete(lane);
  }
}

bool JointReplay::waits_are_over(Lane& lane) {
  const std::vector<OpId>& waits = waits_[lane.rank][static_cast<std::size_t>(head(lane))];
  while (lane.next_wait < waits.size() && complete_[lane.rank][static_cast<std::size_t>(waits[lane.next_wait])])
    ++lane.next_wait;
  return lane.next_wait == waits.size();
}

// Begins the head of a lane. True when nobody else is missing; the others' ops are complete then.
bool JointReplay::meets_others(std::size_t lane) {
  Lane& l = lanes_[lane];
  const Place here{l.rank, head(l)};
  if (joins_group(op(here))) {
    if (in_collective_.size() + 1 < ranks_.size()) {
      in_collective_.push_back(lane);
      l.arrived = true;
      return false;
    }
    for (std::size_t other : std::exchange(in_collective_, {})) complete(other);
    return true;
  }
  const Place* other = partner(here);
  if (!other) return true;
  const std::size_t other_lane = lane_of(*other);
  if (!lanes_[other_lane].arrived || head(lanes_[other_lane]) != other->op) {
    l.arrived = true;
    return false;
  }
  complete(other_lane);
  return true;
}

const JointReplay::Place* JointReplay::partner(Place place) const {
  const auto found = partners_[place.rank].find(place.op);
  return found == partners_[place.rank].end() ? nullptr : &found->second;
}

// Passes the head of a lane and wakes what may stand for it: this lane and the rank's other ones.
void JointReplay::complete(std::size_t lane) {
  Lane& l = lanes_[lane];
  complete_[l.rank][static_cast<std::size_t>(head(l))] = true;
  ++l.next;
  l.next_wait = 0;
  const bool was_waiting = std::exchange(l.arrived, false);
  for (std::size_t other = l.rank * stream_count; other < (l.rank + 1) * stream_count; ++other) {
    const Lane& o = lanes_[other];
    if (other == lane ? was_waiting : o.next < o.ops.size() && o.next_wait < waits_[o.rank][static_cast<std::size_t>(head(o))].size())
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
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
    const std::size_t other = rank * stream_count + static_cast<std::size_t>(op(here).stream);
    if (std::find(in_collective_.begin(), in_collective_.end(), other) != in_collective_.end()) continue;
    const Lane& o = lanes_[other];
    for (std::size_t i = o.next; i < o.ops.size(); ++i)
      if (joins_group(op({rank, o.ops[i]}))) return {{rank, o.ops[i]}, other};
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

}  // namespace trireme::checking
