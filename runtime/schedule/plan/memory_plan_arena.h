#pragma once
// One space's arena: persistent buffers at the bottom, the schedules' own buffers above them.

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/schedule/plan/memory_plan.h"
#include "runtime/schedule/plan/memory_plan_liveness.h"
#include "runtime/schedule/plan/memory_plan_pack.h"

namespace trireme::planning {

/// Places the buffers of one space. Everything it is given must outlive it.
class ArenaPlanner {
 public:
  ArenaPlanner(std::span<const Schedule* const> schedules, std::span<const Liveness> liveness, Space space);

  /// Writes the offsets of this space's buffers into offsets[schedule][buffer].
  ArenaPlan place(std::vector<std::vector<Bytes>>& offsets);

  // After place():
  std::vector<const Buffer*> alive_at_peak() const;
  std::string describe_peak() const;

 private:
  using Names = std::unordered_map<std::string_view, std::size_t>;

  /// Schedules that are packed together, because carried buffers have one place in all of them; one after the other
  /// on one axis of time.
  struct Part {
    std::vector<std::size_t> schedules;
    PackProblem problem;
    std::vector<std::vector<std::size_t>> items;  // [schedule in part][buffer]
    Bytes lower_bound = 0;
  };
  /// Where the sum of what is alive is largest.
  struct Peak {
    Bytes bytes = -1;  // above the persistent buffers
    std::size_t schedule = 0;
    Moment moment = 0;
  };

  bool here(const Buffer& buffer) const { return buffer.space == space_ && buffer.elems > 0; }
  bool carries(std::size_t schedule) const;
  void place_persistent(std::vector<std::vector<Bytes>>& offsets);
  std::vector<Part> make_parts();
  void add_schedule(Part& part, std::size_t schedule, Names& carried);
  void find_peak(const Part& part);
  OpId peak_op() const;
  ArenaPlan report(Bytes height) const;

  std::span<const Schedule* const> schedules_;
  std::span<const Liveness> liveness_;
  Space space_;
  std::vector<const Buffer*> persistent_;
  Bytes persistent_bytes_ = 0;
  Peak peak_;
};

}  // namespace trireme::planning
