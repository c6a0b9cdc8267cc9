#include "shard/rank_classes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "shard/flat_layout.h"

namespace trireme {
namespace {

/// Of each kind of reduce, from how many ranks of other nodes a rank receives and whether it adds to it: those of a
/// full round and of the last one, and where groups of microbatches span ranks those of all rounds. Two ranks have the
/// same exactly where their nodes and their lists are the same.
class ReduceKinds {
 public:
  explicit ReduceKinds(const StepSpec& spec) : spec_(spec) {
    const bool alike = spec.sum_group == 1 || spec.takes_whole_groups();
    for (int round = 0; round < spec.rounds(); ++round)
      if (!alike || round == 0 || round + 1 == spec.rounds()) add_round(round);
    std::map<OnNode, int> numbers;
    for (const auto& [node, own] : on_node_)
      node_number_[node] = numbers.try_emplace(own, static_cast<int>(numbers.size())).first->second;
  }

  /// Equal for ranks with equal reduces.
  std::vector<int> of(int rank) const {
    const auto node = node_number_.find(spec_.nodes.node(rank));
    std::vector<int> kinds = {node == node_number_.end() ? -1 : node->second};
    for (const std::vector<int>& first_ranks : rounds_)
      kinds.push_back(
          static_cast<int>(std::upper_bound(first_ranks.begin(), first_ranks.end(), rank) - first_ranks.begin()));
    return kinds;
  }

 private:
  using OnNode = std::vector<std::pair<int, int>>;  // lists to which a node contributes, and how many ranks of it

  void add_round(int round) {
    std::vector<int>& first_ranks = rounds_.emplace_back();
    for (const auto& [first, end] : spec_.contributors(round)) {
      for (int rank = first; rank < end; ++rank) {
        OnNode& own = on_node_[spec_.nodes.node(rank)];
        if (own.empty() || own.back().first != lists_) own.emplace_back(lists_, 0);
        ++own.back().second;
      }
      first_ranks.push_back(first);
      ++lists_;
    }
    first_ranks.push_back(spec_.present(round * spec_.turns_a_round()));
  }

  const StepSpec& spec_;
  int lists_ = 0;
  std::vector<std::vector<int>> rounds_;  // the first rank of every list, and behind the last
  std::unordered_map<int, OnNode> on_node_;
  std::unordered_map<int, int> node_number_;  // of nodes that contribute the same
};

// How many ranks have a microbatch in each turn of the last round.
std::vector<int> present_in_last_round(const StepSpec& spec) {
  std::vector<int> present;
  for (int turn = spec.turns() - spec.turns_a_round(); turn < spec.turns(); ++turn)
    present.push_back(spec.present(turn));
  return present;
}

// With node-local gathering: the place in the node, whether the node's slice there has this rank's own in it, and how
// many ranks of the node have a microbatch in the turns of the last round.
std::vector<int> node_of(const StepSpec& spec, int rank, const std::vector<int>& present_in_turns) {
  if (spec.node_ranks == 0) return {};
  const int place = rank % spec.node_ranks;
  std::vector<int> node = {place, rank / (spec.ranks() / spec.node_ranks) == place};
  for (const int present : present_in_turns) node.push_back(std::clamp(present - (rank - place), 0, spec.node_ranks));
  return node;
}

}  // namespace

std::vector<RankClass> rank_classes(const ModelSpec& model, const StepSpec& spec) {
  // Programs differ by microbatches in the last round, by what a rank owns of a tied tensor, and by what it receives
  // from other nodes in a full round and in the last one.
  std::optional<FlatRange> tied;
  if (const auto t = model.units[model.head()].tied)
    tied = FlatLayout(model.units[model.owner(*t)], spec.ranks()).tensor(t->tensor);
  std::map<std::tuple<int, Elems, std::vector<int>, std::vector<int>, int>, RankClass> classes;
  const ReduceKinds reduces(spec);
  const std::vector<int> present = present_in_last_round(spec);
  StepSpec own = spec;
  for (int rank = 0; rank < spec.ranks(); ++rank) {
    own.rank = rank;
    std::tuple key(own.own_turns(), tied ? tied->owned_by(rank).elems : 0, reduces.of(rank),
                   node_of(spec, rank, present), spec.audit ? rank % 2 : 0);
    ++classes.try_emplace(std::move(key), RankClass{rank, 0}).first->second.count;
  }
  std::vector<RankClass> list;
  for (const auto& [key, rank_class] : classes) list.push_back(rank_class);
  std::sort(list.begin(), list.end(), [](const RankClass& a, const RankClass& b) { return a.rank < b.rank; });
  return list;
}

}  // namespace trireme
