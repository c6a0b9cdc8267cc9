#include "runtime/schedule/plan/memory_plan_occupancy.h"

#include <algorithm>

namespace trireme::planning {
namespace {

// Calls visit(node) for the fewest nodes that make up [when.first, when.last].
template <typename Visit>
void for_each_part(std::size_t leaves, Interval when, Visit&& visit) {
  std::size_t low = leaves + static_cast<std::size_t>(when.first),
              high = leaves + static_cast<std::size_t>(when.last) + 1;
  for (; low < high; low /= 2, high /= 2) {
    if (low % 2 == 1) visit(low++);
    if (high % 2 == 1) visit(--high);
  }
}

// Calls visit(node) once for every node above the parts of [when.first, when.last].
template <typename Visit>
void for_each_above(std::size_t leaves, Interval when, Visit&& visit) {
  std::size_t low = leaves + static_cast<std::size_t>(when.first), high = leaves + static_cast<std::size_t>(when.last);
  std::size_t first = low, end = high + 1;  // the nodes [first, end) of this level lie wholly inside
  while (low > 1) {
    first = (first + 1) / 2, end = end / 2;
    low /= 2, high /= 2;
    if (low < first || low >= end) visit(low);
    if (high != low && (high < first || high >= end)) visit(high);
  }
}

}  // namespace

void RangeSet::insert(Range range) {
  const auto first = std::lower_bound(ranges_.begin(), ranges_.end(), range.begin,
                                      [](const Range& r, Bytes begin) { return r.end < begin; });
  auto last = first;
  for (; last != ranges_.end() && last->begin <= range.end; ++last) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
  }
  if (first == last) {
    ranges_.insert(first, range);
    return;
  }
  *first = range;
  ranges_.erase(first + 1, last);
}

Occupancy::Occupancy(Moment moments) {
  while (leaves_ < static_cast<std::size_t>(moments)) leaves_ *= 2;
  nodes_.resize(2 * leaves_);
}

void Occupancy::clear() {
  for (const std::size_t node : touched_) {
    nodes_[node].whole.clear();
    nodes_[node].anytime.clear();
  }
  touched_.clear();
}

void Occupancy::take(Interval when, Range range) {
  const auto take_anytime = [&](std::size_t node) {
    if (nodes_[node].anytime.ranges().empty()) touched_.push_back(node);
    nodes_[node].anytime.insert(range);
  };
  for_each_part(leaves_, when, [&](std::size_t node) {
    nodes_[node].whole.insert(range);
    take_anytime(node);
  });
  for_each_above(leaves_, when, take_anytime);
}

void Occupancy::add_cursor(const RangeSet& set) {
  if (!set.ranges().empty()) cursors_.push_back({&set.ranges(), 0});
}

void Occupancy::collect(std::span<const Interval> when) {
  cursors_.clear();
  for (const Interval& interval : when) {
    for_each_part(leaves_, interval, [&](std::size_t node) { add_cursor(nodes_[node].anytime); });
    for_each_above(leaves_, interval, [&](std::size_t node) { add_cursor(nodes_[node].whole); });
  }
}

Bytes Occupancy::lowest_fit(std::span<const Interval> when, Bytes size) {
  collect(when);
  Bytes address = 0;
  // Round and round over the sets, until none of them has moved the address.
  for (std::size_t agreed = 0, i = 0; agreed < cursors_.size(); i = i + 1 == cursors_.size() ? 0 : i + 1, ++agreed) {
    auto& [ranges, next] = cursors_[i];
    while (next < ranges->size() && (*ranges)[next].begin < address + size) {
      if ((*ranges)[next].end > address) {
        address = (*ranges)[next].end;
        agreed = 0;
      }
      ++next;
    }
  }
  return address;
}

}  // namespace trireme::planning
