#pragma once
// Which bytes are taken when: rectangles of time and address, and the search for a free one.

#include <span>
#include <vector>

#include "runtime/schedule/plan/memory_plan_liveness.h"

namespace trireme::planning {

/// Addresses [begin, end).
struct Range {
  Bytes begin = 0, end = 0;
};

/// Disjoint ranges in ascending order; those that touch are one. Dense packing keeps it short.
class RangeSet {
 public:
  void insert(Range range);
  void clear() { ranges_.clear(); }
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

/// A segment tree over time. A node knows the addresses taken during the whole of its time, and those taken at any
/// moment of it; so a search looks at O(log moments) sets of ranges, however many buffers are in them.
class Occupancy {
 public:
  explicit Occupancy(Moment moments);
  void clear();

  void take(Interval when, Range range);
  /// The lowest address >= 0 with `size` bytes free in all the intervals.
  Bytes lowest_fit(std::span<const Interval> when, Bytes size);

 private:
  struct Node {
    RangeSet whole;    // of what was taken for the node's whole time, or longer
    RangeSet anytime;  // of all that was taken within the node's time
  };
  /// A set that a search goes through, and how far it has come.
  struct Cursor {
    const std::vector<Range>* ranges;
    std::size_t next;
  };

  void collect(std::span<const Interval> when);
  void add_cursor(const RangeSet& set);

  std::size_t leaves_ = 1;
  std::vector<Node> nodes_;  // node i has the children 2 i and 2 i + 1; leaves_ + t is moment t
  std::vector<Cursor> cursors_;
  std::vector<std::size_t> touched_;  // nodes to clear
};

}  // namespace trireme::planning
