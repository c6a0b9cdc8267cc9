#include "shard/passes/gradient_bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "shard/schedule_writer.h"

namespace trireme {
namespace {

// A reduce, or the end of a group of microbatches between two of them.
bool stands_among_reduces(const Op& op) {
  return op.kind == OpKind::reduce || (op.kind == OpKind::accumulate && op.stream == StreamId::comm);
}

/// Gradients that become whole together.
struct GradientGroup {
  std::vector<Op> releases;
  BufferId freed = 0;  // token written by the last release
};

class GradientBoundsPass {
 public:
  GradientBoundsPass(Schedule schedule, bool bounded)
      : bounded_(bounded),
        ops_(std::exchange(schedule.ops, {})),
        writer_(std::move(schedule), ops_.size() + ops_.size() / 8) {
    find_groups();
  }

  Schedule run() {
    std::size_t started = 0, reduced = 0;  // groups whose first write, whose reduces have been placed
    bool in_reduces = false;
    for (Op& op : ops_) {
      const bool is_reduce = stands_among_reduces(op);
      if (is_reduce && !in_reduces) {
        if (reduced > 0) emit(groups_[reduced - 1].releases);
        ++reduced;
      }
      in_reduces = is_reduce;
      if (bounded_ && !is_reduce && starts_group(op, started)) {
        if (started >= 2) op.add(takes(groups_[started - 2].freed));
        ++started;
      }
      if (reduced > 0 && writes_again(op, groups_[reduced - 1])) emit(groups_[reduced - 1].releases);
      const bool is_last_sum = op.kind == OpKind::all_reduce && op.at(Slot::sums) == verdict_sums_;
      writer_.add(std::move(op));
      if (is_last_sum) {
        if (reduced > 0) emit(groups_[reduced - 1].releases);
        emit(slice_releases_);
      }
    }
    // Without a verdict (diagnose) the last ones are still there.
    if (reduced > 0) emit(groups_[reduced - 1].releases);
    return writer_.take();
  }

 private:
  void find_groups() {
    for (const Op& op : ops_)
      if (op.kind == OpKind::release) released_.insert(op.at(Slot::exported));
    bool in_reduces = false;
    for (const Op& op : ops_) {
      if (op.kind == OpKind::reduce) {
        if (!in_reduces) groups_.emplace_back();
        const BufferId gradient = op.at(Slot::gradient);
        const auto [known, is_new] = group_of_.try_emplace(gradient, groups_.size() - 1);
        if (is_new || known->second != groups_.size() - 1) groups_.back().releases.push_back(release(op, gradient));
        known->second = groups_.size() - 1;
      }
      in_reduces = stands_among_reduces(op);
      if (op.kind == OpKind::update || op.kind == OpKind::gather) find_slices(op);
      if (op.kind == OpKind::verdict) verdict_sums_ = op.at(Slot::sums);
    }
    for (std::size_t n = 0; bounded_ && n + 2 < groups_.size(); ++n) {
      groups_[n].freed = writer_.add_token(fmt::format("freed.{}", n));
      groups_[n].releases.back().add(gives(groups_[n].freed));
    }
  }

  // Parameters for peers that this op makes anew: its own slice of a unit, or the slice of a node.
  void find_slices(const Op& maker) {
    for (BufferId id : maker.writes()) {
      if (!writer_.schedule().buffers[static_cast<std::size_t>(id)].exported || !released_.insert(id).second) continue;
      slice_releases_.push_back(release(maker, id));
      if (maker.kind == OpKind::gather) slice_releases_.back().group = Group::node;
    }
  }

  static Op release(const Op& of, BufferId exported) {
    return Op{.kind = OpKind::release,
              .stream = StreamId::comm,
              .group = Group::data,
              .unit = of.unit,
              .microbatch = of.microbatch,
              .operands = {reads(Slot::exported, exported)}};
  }

  // A persistent gradient, in the next turn of a step that has few of them.
  static bool writes_again(const Op& op, const GradientGroup& group) {
    return std::any_of(group.releases.begin(), group.releases.end(),
                       [&](const Op& release) { return op.writes(release.at(Slot::exported)); });
  }

  bool starts_group(const Op& op, std::size_t group) const {
    for (BufferId id : op.writes())
      if (const auto found = group_of_.find(id); found != group_of_.end() && found->second == group) return true;
    return false;
  }

  void emit(std::vector<Op>& releases) {
    for (Op& op : releases) writer_.add(std::move(op));
    releases.clear();
  }

  bool bounded_;
  std::vector<Op> ops_;
  std::vector<GradientGroup> groups_;
  std::unordered_map<BufferId, std::size_t> group_of_;  // by gradient
  std::vector<Op> slice_releases_;
  std::unordered_set<BufferId> released_;  // slices whose release stands in the list, or among those
  BufferId verdict_sums_ = -1;             // what the last all_reduce sums; others come earlier
  ScheduleWriter writer_;
};

}  // namespace

Schedule bound_gradients(Schedule schedule, bool bounded) {
  return GradientBoundsPass(std::move(schedule), bounded).run();
}

}  // namespace trireme
