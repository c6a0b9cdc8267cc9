#include "runtime/schedule/plan/memory_plan_skyline.h"

#include <algorithm>
#include <limits>

namespace trireme::planning {
namespace {

class Skyline {
 public:
  explicit Skyline(Moment moments) : steps_{{.when = {0, moments - 1}, .height = 0}} {}

  /// The outline over `when` is at `height` now.
  void set(Interval when, Bytes height) {
    std::size_t first = 0;
    while (steps_[first].when.last < when.first) ++first;
    std::size_t end = first;
    while (end < steps_.size() && steps_[end].when.first <= when.last) ++end;
    fresh_.clear();
    const Step left = steps_[first], right = steps_[end - 1];
    if (left.when.first < when.first) fresh_.push_back({{left.when.first, when.first - 1}, left.height});
    fresh_.push_back({when, height});
    if (right.when.last > when.last) fresh_.push_back({{when.last + 1, right.when.last}, right.height});
    steps_.insert(steps_.erase(at(first), at(end)), fresh_.begin(), fresh_.end());
    merge(first == 0 ? 0 : first - 1, first + fresh_.size());
  }

  std::size_t lowest() const {
    const auto found = std::min_element(steps_.begin(), steps_.end(),
                                        [](const Step& a, const Step& b) { return a.height < b.height; });
    return static_cast<std::size_t>(found - steps_.begin());
  }
  /// To the lower one of its neighbours, with which it is one step then.
  void raise(std::size_t step) {
    Bytes height = std::numeric_limits<Bytes>::max();
    if (step > 0) height = std::min(height, steps_[step - 1].height);
    if (step + 1 < steps_.size()) height = std::min(height, steps_[step + 1].height);
    steps_[step].height = height;
    merge(step == 0 ? 0 : step - 1, step + 1);
  }

  Interval when(std::size_t step) const { return steps_[step].when; }
  Bytes height(std::size_t step) const { return steps_[step].height; }
  std::size_t size() const { return steps_.size(); }

 private:
  struct Step {
    Interval when;
    Bytes height = 0;
  };

  std::vector<Step>::iterator at(std::size_t step) { return steps_.begin() + static_cast<std::ptrdiff_t>(step); }

  // Makes one of equal neighbours among the steps [first, last].
  void merge(std::size_t first, std::size_t last) {
    for (std::size_t step = std::min(last, steps_.size() - 1); step > first; --step) {
      if (steps_[step - 1].height != steps_[step].height) continue;
      steps_[step - 1].when.last = steps_[step].when.last;
      steps_.erase(at(step));
    }
  }

  std::vector<Step> steps_, fresh_;
};

bool lies_within(const Item& item, Interval when) {
  return when.first <= item.when.front().first && item.when.front().last <= when.last;
}

}  // namespace

void pack_skyline(const PackProblem& problem, const Order& order, Packing& packing, std::size_t& steps) {
  Skyline skyline(problem.moments);
  Bytes ground = 0;  // below it lies what has several stretches of time
  packing.address.assign(problem.items.size(), 0);
  Order left;
  left.reserve(order.size());
  for (const std::uint32_t i : order) {
    const Item& item = problem.items[i];
    if (item.when.size() == 1) {
      left.push_back(i);
      continue;
    }
    packing.address[i] = ground;
    ground += item.size;
    for (const Interval& when : item.when) skyline.set(when, ground);
  }
  packing.height = ground;
  while (!left.empty()) {
    const std::size_t step = skyline.lowest();
    const auto fits = [&](std::uint32_t i) { return lies_within(problem.items[i], skyline.when(step)); };
    const auto found = std::find_if(left.begin(), left.end(), fits);
    steps += static_cast<std::size_t>(found - left.begin()) + skyline.size();
    if (found == left.end()) {
      skyline.raise(step);
      continue;
    }
    const Item& item = problem.items[*found];
    packing.address[*found] = skyline.height(step);
    const Bytes end = skyline.height(step) + item.size;
    packing.height = std::max(packing.height, end);
    skyline.set(item.when.front(), end);
    left.erase(found);
  }
}

}  // namespace trireme::planning
