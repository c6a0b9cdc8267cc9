#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "runtime/schedule/check/check.h"
#include "runtime/schedule/check/check_sequence.h"
#include "runtime/schedule/op_kinds.h"
#include "runtime/schedule/replay.h"
#include "runtime/schedule/text/text_lists.h"

namespace trireme {
namespace {

std::vector<OpId> find_ops(const Schedule& schedule, const auto& condition) {
  std::vector<OpId> found;
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id)
    if (condition(schedule.ops[static_cast<std::size_t>(id)])) found.push_back(id);
  return found;
}

const Op& op_of(const Schedule& schedule, OpId id) { return schedule.ops[static_cast<std::size_t>(id)]; }

const std::vector<Contribution>* from_list(const Schedule& schedule, const Op& op) {
  return op.from ? &schedule.from_lists[static_cast<std::size_t>(*op.from)] : nullptr;
}
const std::vector<int>* to_list(const Schedule& schedule, const Op& op) {
  return op.to ? &schedule.to_lists[static_cast<std::size_t>(*op.to)] : nullptr;
}

template <typename List>
bool equal_lists(const List* a, const List* b) {
  return a == b || (a && b && *a == *b);
}

// On one node all is equal. Ranks of two nodes count from the first of their own, and one node may receive where the
// other does not (in the last round).
bool equal_within_nodes(const Schedule& a, const Op& x, const Schedule& b, const Op& y) {
  const auto *from_a = from_list(a, x), *from_b = from_list(b, y);
  if (!from_a || !from_b || from_a->empty() || from_b->empty()) return false;
  const int shift = from_b->front().rank - from_a->front().rank;
  std::vector<Contribution> from = *from_a;
  for (Contribution& c : from) c.rank += shift;
  return equal_lists(&from, from_b) && (shift != 0 || equal_lists(to_list(a, x), to_list(b, y)));
}

bool equal_collectives(const Schedule& a, const Op& x, const Schedule& b, const Op& y) {
  if (x.kind != y.kind || x.group != y.group || x.unit != y.unit || x.bytes != y.bytes || x.range != y.range)
    return false;
  if (x.group == Group::node) return equal_within_nodes(a, x, b, y);
  return equal_lists(from_list(a, x), from_list(b, y)) && equal_lists(to_list(a, x), to_list(b, y));
}

std::string describe_rank(const Schedule& schedule, OpId id) {
  const Op& op = op_of(schedule, id);
  std::string text = fmt::format("rank {} {}: range {}+{}/{}, {} bytes", schedule.rank, describe(schedule, id),
                                 op.range.begin, op.range.elems, op.range.slice_elems, op.bytes);
  if (op.microbatch) text += fmt::format(", microbatch {}", *op.microbatch);
  if (const auto* from = from_list(schedule, op)) text += ", from " + text::print_list(*from);
  if (const auto* to = to_list(schedule, op)) text += ", to " + text::print_list(*to);
  return text;
}

/// Two lists of ops on two ranks that must be equal line by line.
struct Lists {
  const Schedule &a, &b;
  std::vector<OpId> of_a, of_b;
  std::string rule;  // "the collectives of group data must be equal on all ranks"

  std::optional<Problem> check(const auto& equal) const {
    const std::size_t common = std::min(of_a.size(), of_b.size());
    for (std::size_t i = 0; i < common; ++i)
      if (!equal(op_of(a, of_a[i]), op_of(b, of_b[i])))
        return Problem{b.kind, of_b[i],
                       fmt::format("{}; number {} differs:\n  {}\n  {}", rule, i, describe_rank(a, of_a[i]),
                                   describe_rank(b, of_b[i]))};
    if (of_a.size() == of_b.size()) return std::nullopt;
    const bool a_is_longer = of_a.size() > of_b.size();
    const Schedule &longer = a_is_longer ? a : b, &shorter = a_is_longer ? b : a;
    const OpId extra = a_is_longer ? of_a[common] : of_b[common];
    return Problem{longer.kind, extra,
                   fmt::format("{}; number {} is missing on one:\n  {}\n  rank {}: {} in all", rule, common,
                               describe_rank(longer, extra), shorter.rank, common)};
  }
};

std::optional<Problem> check_collectives(const Schedule& a, const Schedule& b) {
  // Those within nodes stand in the common order, too: one communicator counts all of them.
  const auto joins = [](const Op& op) { return is_collective(op.kind) && op.group != Group::self; };
  const Lists lists{
      a, b, find_ops(a, joins), find_ops(b, joins),
      "the collectives of group data, and of node within theirs, must be equal, in the same order, on all ranks"};
  return lists.check([&](const Op& x, const Op& y) { return equal_collectives(a, x, b, y); });
}

/// All sends of a rank to one peer, or all receives from it.
using MessageLists = std::map<std::pair<int, OpKind>, std::vector<OpId>>;

MessageLists find_messages(const Schedule& schedule) {
  MessageLists lists;
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id)
    if (const Op& op = op_of(schedule, id); op.kind == OpKind::send || op.kind == OpKind::receive)
      lists[{*op.peer, op.kind}].push_back(id);
  return lists;
}

std::optional<Problem> check_messages(std::span<const Schedule* const> ranks) {
  std::map<int, std::pair<const Schedule*, MessageLists>> by_rank;
  for (const Schedule* schedule : ranks) by_rank[schedule->rank] = {schedule, find_messages(*schedule)};
  for (auto& [rank, own] : by_rank)
    for (const auto& [key, ops] : own.second) {
      const auto peer = by_rank.find(key.first);
      if (peer == by_rank.end()) continue;  // stands for no class of its own
      const OpKind other = key.second == OpKind::send ? OpKind::receive : OpKind::send;
      const Lists lists{
          *own.first, *peer->second.first, ops, peer->second.second[{rank, other}],
          fmt::format("each send must have its receive, in the same order; ranks {} and {}", rank, key.first)};
      if (auto problem = lists.check([](const Op& x, const Op& y) {
            return x.unit == y.unit && x.microbatch == y.microbatch && x.bytes == y.bytes;
          }))
        return problem;
    }
  return std::nullopt;
}

std::optional<Problem> check_places(std::span<const Schedule* const> ranks) {
  std::set<int> seen;
  for (const Schedule* schedule : ranks) {
    if (auto problem = checking::check_structure(*schedule, checking::RecordPlace::anywhere)) return problem;
    if (schedule->world != ranks[0]->world)
      return Problem{schedule->kind, 0,
                     fmt::format("rank {} knows {} ranks, rank {} knows {}", ranks[0]->rank, ranks[0]->world,
                                 schedule->rank, schedule->world)};
    if (!seen.insert(schedule->rank).second)
      return Problem{schedule->kind, 0, fmt::format("rank {} is there twice", schedule->rank)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Problem> check_ranks(std::span<const Schedule* const> ranks) {
  if (auto problem = check_places(ranks)) return problem;
  for (std::size_t i = 1; i < ranks.size(); ++i)
    if (auto problem = check_collectives(*ranks[0], *ranks[i])) return problem;
  if (auto problem = check_messages(ranks)) return problem;
  return replay(ranks).problem;
}

}  // namespace trireme
