#include "shard/passes/gradient_bounds.h"

#include <fmt/format.h>

#include <unordered_map>
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
  explicit GradientBoundsPass(Schedule schedule)
      : ops_(std::exchange(schedule.ops, {})), writer_(std::move(schedule)) {
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
      if (!is_reduce && starts_group(op, started)) {
        if (started >= 2) op.reads.push_back(groups_[started - 2].freed);
        ++started;
      }
      const bool is_last_sum = op.kind == OpKind::all_reduce;
      writer_.add(std::move(op));
      if (is_last_sum) {
        if (reduced > 0) emit(groups_[reduced - 1].releases);
        emit(slice_releases_);
      }
    }
    return writer_.take();
  }

 private:
  void find_groups() {
    bool in_reduces = false;
    for (const Op& op : ops_) {
      if (op.kind == OpKind::reduce) {
        if (!in_reduces) groups_.emplace_back();
        const BufferId gradient = op.reads[0];
        if (group_of_.emplace(gradient, groups_.size() - 1).second)
          groups_.back().releases.push_back(release(op, gradient));
      }
      in_reduces = stands_among_reduces(op);
      if (op.kind == OpKind::update) find_slice(op);
    }
    for (std::size_t n = 0; n + 2 < groups_.size(); ++n) {
      groups_[n].freed = writer_.add_token(fmt::format("freed.{}", n));
      groups_[n].releases.back().writes.push_back(groups_[n].freed);
    }
  }

  void find_slice(const Op& update) {
    for (BufferId id : update.writes)
      if (writer_.schedule().buffers[static_cast<std::size_t>(id)].exported)
        slice_releases_.push_back(release(update, id));
  }

  static Op release(const Op& of, BufferId exported) {
    return Op{.kind = OpKind::release, .stream = StreamId::comm, .group = Group::data, .unit = of.unit,
              .microbatch = of.microbatch, .reads = {exported}};
  }

  bool starts_group(const Op& op, std::size_t group) const {
    for (BufferId id : op.writes)
      if (const auto found = group_of_.find(id); found != group_of_.end() && found->second == group) return true;
    return false;
  }

  void emit(std::vector<Op>& releases) {
    for (Op& op : releases) writer_.add(std::move(op));
    releases.clear();
  }

  std::vector<Op> ops_;
  std::vector<GradientGroup> groups_;
  std::unordered_map<BufferId, std::size_t> group_of_;  // by gradient
  std::vector<Op> slice_releases_;
  ScheduleWriter writer_;
};

}  // namespace

Schedule bound_gradients(Schedule schedule) { return GradientBoundsPass(std::move(schedule)).run(); }

}  // namespace trireme
