#pragma once
// Rectangles of time and size into the lowest arena.

#include <vector>

#include "runtime/schedule/plan/memory_plan_liveness.h"

namespace trireme::planning {

/// What needs `size` bytes at one address, at several stretches of time.
struct Item {
  Bytes size = 0;
  std::vector<Interval> when;  // ascending, disjoint
};

struct PackProblem {
  Moment moments = 0;
  std::vector<Item> items;
};

struct Packing {
  std::vector<Bytes> address;  // by item
  Bytes height = 0;            // the largest end
};

/// By moment: the sum of the sizes alive.
std::vector<Bytes> load(const PackProblem& problem);

/// Heights at which the search for a lower one ends: at once, when it has taken a while, or when it has taken long.
struct Goal {
  Bytes good = 0, tolerable = 0, bearable = 0;
};

/// An address for every item; items whose times intersect share no byte.
///
/// Cost    one greedy packing is O(n log n) steps where packings are dense; about 2 s for 800,000 items. The larger n,
///         the fewer packings are tried, at least three.
/// Source  greedy by size, Pisarchyk and Lee 2020 (arXiv 2001.03288); by the load at an item's time, as in TelaMalloc,
///         Maas et al. 2022 (ASPLOS '23); of up to some thousand items by outline (memory_plan_skyline.h). Then items
///         that stick out move forward in the order, again and again.
Packing pack(const PackProblem& problem, Goal goal);

}  // namespace trireme::planning
