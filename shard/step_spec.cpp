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

std::vector<int> StepSpec::ranks_in(int turn) const {
  std::vector<int> list;
  for (int r = 0; r < ranks() && microbatch_of(turn, r) < microbatches; ++r) list.push_back(r);
  return list;
}

std::vector<std::vector<Contribution>> StepSpec::contributions(int round) const {
  std::vector<std::vector<Contribution>> lists;
  const int turn = round * turns_a_round();
  for (int r : ranks_in(turn)) {
    const int microbatch = microbatch_of(turn, r);
    const bool starts_list = !takes_whole_groups() && sum_group > 1 && microbatch % sum_group == 0;
    if (lists.empty() || starts_list) lists.emplace_back();
    lists.back().push_back({r, microbatch});
  }
  return lists;
}

int StepSpec::remote(const std::vector<Contribution>& from) const {
  return static_cast<int>(
      std::count_if(from.begin(), from.end(), [&](const Contribution& c) { return !nodes.share(rank, c.rank); }));
}

}  // namespace trireme
