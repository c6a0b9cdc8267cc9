#pragma once
// Rectangles of time and size into the lowest arena.

#include <optional>
#include <span>
#include <vector>

#include "runtime/schedule/memory_plan_liveness.h"

namespace trireme::planning {

/// What needs `size` bytes in one place, at several stretches of time.
struct Item {
  Bytes size = 0;
  std::vector<Interval> when;    // ascending, disjoint
  std::optional<Bytes> address;  // where it must lie
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

/// Items whose times intersect share no byte.
///
/// In      `good_enough`: a height at which the search for a lower one stops.
/// Cost    one greedy packing is O(n log n) steps for realistic n; the number of packings tried falls with n.
/// Source  greedy by size, Pisarchyk and Lee 2020 (arXiv 2001.03288); orders by the load that an item helps to bear,
///         Maas et al. 2023 (TelaMalloc); items that stick out are moved to the front and packed again.
Packing pack(const PackProblem& problem, Bytes good_enough);

}  // namespace trireme::planning
