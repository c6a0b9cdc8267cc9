#include "shard/passes/prefetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "shard/schedule_writer.h"

namespace trireme {
namespace {

/// A run of ops that reads one gathered unit.
struct Use {
  std::vector<Op> gathers;
  std::size_t last_op = 0;       // index in the list without gathers
  std::optional<BufferId> used;  // token written by last_op
};

class PrefetchPass {
 public:
  PrefetchPass(Schedule schedule, int distance)
      : writer_(std::move(schedule)), ops_(std::exchange(writer_.schedule().ops, {})), op_count_(ops_.size()) {
    find_uses();
    distance_ = std::min<std::size_t>(static_cast<std::size_t>(distance), uses_.empty() ? 0 : uses_.size() - 1);
  }

  Schedule run(bool carry) {
    carried_ = carry ? distance_ : 0;
    bound_gathers();
    writer_.expect(op_count_);
    for (std::size_t k = 0; k < carried_; ++k) rename_carried(k);
    std::size_t next_use = 0, next_carried = 0;
    bool is_updating = false;  // behind the verdict
    for (std::size_t i = 0; i < others_.size(); ++i) {
      Op op = std::move(others_[i]);
      const bool is_values = op.kind == OpKind::step_values;
      is_updating |= op.kind == OpKind::verdict;
      if (next_use < uses_.size() && uses_[next_use].last_op == i) {
        if (uses_[next_use].used) op.add(gives(*uses_[next_use].used));
        writer_.add(std::move(op));
        ++next_use;
        if (next_use + distance_ < uses_.size()) emit_gathers(next_use + distance_);
        continue;
      }
      writer_.add(std::move(op));
      if (is_values)
        for (std::size_t k = carried_; k <= distance_ && k < uses_.size(); ++k) emit_gathers(k);
      while (is_updating && next_carried < carried_ && reads_up_to(uses_[next_carried], i))
        emit_gathers(next_carried++);
    }
    return writer_.take();
  }

  int distance() const { return static_cast<int>(distance_); }

 private:
  // What fills parameters that are held whole, or in larger slices, stays where it is.
  bool is_for_a_use(const Op& op) const {
    return op.kind == OpKind::gather &&
           writer_.schedule().buffers[static_cast<std::size_t>(op.at(Slot::full))].role == Role::gathered;
  }

  // Splits the list into the gathers of each use and all other ops.
  void find_uses() {
    std::unordered_map<BufferId, std::size_t> use_of;  // by gathered buffer
    std::vector<Op> waiting;
    others_.reserve(ops_.size() - count_gathers());
    for (Op& op : ops_) {
      if (is_for_a_use(op)) {
        waiting.push_back(std::move(op));
        continue;
      }
      if (!waiting.empty()) {
        for (const Op& gather : waiting) use_of[gather.at(Slot::full)] = uses_.size();
        uses_.push_back({.gathers = std::exchange(waiting, {})});
      }
      if (const Operand* const parameters = op.find(Slot::parameters))
        if (const auto use = use_of.find(parameters->buffer); use != use_of.end())
          uses_[use->second].last_op = others_.size();
      for (BufferId id : op.writes()) last_write_[id] = others_.size();
      others_.push_back(std::move(op));
    }
    ops_ = {};
  }

  std::size_t count_gathers() const {
    return static_cast<std::size_t>(
        std::count_if(ops_.begin(), ops_.end(), [&](const Op& op) { return is_for_a_use(op); }));
  }

  void bound_gathers() {
    for (std::size_t k = distance_ + 1; k < uses_.size(); ++k) {
      Use& before = uses_[k - distance_ - 1];
      before.used = writer_.add_token(fmt::format("used.{}", k - distance_ - 1));
      for (Op& gather : uses_[k].gathers) gather.add(takes(*before.used));
    }
  }

  void rename_carried(std::size_t k) {
    for (const Op& gather : uses_[k].gathers) {
      Buffer& full = writer_.schedule().buffers[static_cast<std::size_t>(gather.at(Slot::full))];
      full.name = "carry." + full.name;
      full.lifetime = Lifetime::carried;
    }
  }

  // Whether everything that a use gathers has its value of the next step behind op number `done`.
  bool reads_up_to(const Use& use, std::size_t done) const {
    return std::all_of(use.gathers.begin(), use.gathers.end(), [&](const Op& gather) {
      const auto written = last_write_.find(gather.at(Slot::slice));
      return written == last_write_.end() || written->second <= done;
    });
  }

  void emit_gathers(std::size_t k) {
    for (Op& gather : uses_[k].gathers) writer_.add(std::move(gather));
  }

  ScheduleWriter writer_;
  std::vector<Op> ops_;     // as given, until they are split
  std::size_t op_count_;    // of them
  std::vector<Op> others_;  // without the gathers of uses
  std::vector<Use> uses_;
  std::unordered_map<BufferId, std::size_t> last_write_;  // of a buffer: index in others_
  std::size_t distance_ = 0, carried_ = 0;
};

}  // namespace

Schedule prefetch(Schedule schedule, int distance, bool carry) {
  return PrefetchPass(std::move(schedule), distance).run(carry);
}

int possible_distance(const Schedule& schedule, int distance) { return PrefetchPass(schedule, distance).distance(); }

Schedule enter_of(const Schedule& step) {
  Schedule enter{.kind = ScheduleKind::enter,
                 .rank = step.rank,
                 .world = step.world,
                 .buffers = step.buffers,
                 .ops = {},
                 .from_lists = step.from_lists,
                 .to_lists = step.to_lists,
                 .boundary_events = {}};
  // Only a step's tail gathers into carried buffers; events and tokens are set anew by the passes that follow.
  for (const Op& op : step.ops)
    if (op.kind == OpKind::gather && op.has(Slot::full) &&
        step.buffers[static_cast<std::size_t>(op.at(Slot::full))].lifetime == Lifetime::carried)
      enter.ops.push_back(op);
  return enter;
}

}  // namespace trireme
