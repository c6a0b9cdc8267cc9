#include "shard/step_spec.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/error.h"

namespace trireme {

const char* name(Recompute policy) {
  switch (policy) {
    case Recompute::none: return "none";
    case Recompute::attention: return "attention";
    case Recompute::mlp: return "mlp";
    case Recompute::block: return "block";
  }
  return "none";
}

bool drops(Recompute policy, SegmentKind segment) {
  switch (policy) {
    case Recompute::none: return false;
    case Recompute::attention: return segment == SegmentKind::attention;
    case Recompute::mlp: return segment == SegmentKind::mlp;
    case Recompute::block: return true;
  }
  return false;
}

const char* name(SegmentKind kind) {
  switch (kind) {
    case SegmentKind::embedding: return "embedding";
    case SegmentKind::attention: return "attention";
    case SegmentKind::mlp: return "mlp";
    case SegmentKind::loss: return "loss";
    case SegmentKind::choose: return "choose";
  }
  return "unknown";
}

Recompute parse_recompute(std::string_view text) {
  for (Recompute policy : {Recompute::none, Recompute::attention, Recompute::mlp, Recompute::block})
    if (text == name(policy)) return policy;
  throw Error(ErrorKind::config, fmt::format("memory.recompute = '{}'; use none, attention, mlp or block", text));
}

std::vector<int> StepSpec::all_ranks() const {
  std::vector<int> list(static_cast<std::size_t>(ranks()));
  std::iota(list.begin(), list.end(), 0);
  return list;
}

std::vector<Contribution> StepSpec::exporters() const {
  std::vector<Contribution> list;
  for (int r : all_ranks()) list.push_back({r, {}});
  return list;
}

int StepSpec::own_turns() const {
  const int a_round = turns_a_round(), whole = microbatches / a_round;  // units of a round that are complete
  const int rest = whole % ranks() == rank ? microbatches % a_round : 0;
  return static_cast<int>(ceil_div(std::max(0, whole - rank), ranks())) * a_round + rest;
}

int StepSpec::present(int turn) const {
  const int a_round = turns_a_round();
  const std::int64_t of_round = ceil_div(std::max(0, microbatches - turn % a_round), a_round);
  return static_cast<int>(
      std::clamp<std::int64_t>(of_round - static_cast<std::int64_t>(turn / a_round) * ranks(), 0, ranks()));
}

std::vector<int> StepSpec::ranks_in(int turn) const {
  std::vector<int> list(static_cast<std::size_t>(present(turn)));
  std::iota(list.begin(), list.end(), 0);
  return list;
}

std::vector<std::pair<int, int>> StepSpec::contributors(int round) const {
  const int turn = round * turns_a_round(), end = present(turn);
  const bool one_list = takes_whole_groups() || sum_group == 1;
  std::vector<std::pair<int, int>> lists;
  for (int first = 0; first < end;) {
    const int next = one_list ? end : std::min(end, first + sum_group - microbatch_of(turn, first) % sum_group);
    lists.emplace_back(first, next);
    first = next;
  }
  return lists;
}

std::vector<std::vector<Contribution>> StepSpec::contributions(int round) const {
  const int turn = round * turns_a_round();
  std::vector<std::vector<Contribution>> lists;
  for (const auto& [first, end] : contributors(round)) {
    std::vector<Contribution>& list = lists.emplace_back();
    list.reserve(static_cast<std::size_t>(end - first));
    for (int r = first; r < end; ++r) list.push_back({r, microbatch_of(turn, r)});
  }
  return lists;
}

int StepSpec::remote(const std::vector<Contribution>& from) const {
  return static_cast<int>(
      std::count_if(from.begin(), from.end(), [&](const Contribution& c) { return !nodes.share(rank, c.rank); }));
}

}  // namespace trireme
