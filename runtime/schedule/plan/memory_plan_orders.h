#pragma once
// In which order a greedy packing takes its items.

#include <cstdint>
#include <vector>

#include "runtime/schedule/plan/memory_plan_pack.h"

namespace trireme::planning {

using Order = std::vector<std::uint32_t>;  // indices of items

/// What orders are made of.
struct Traits {
  Bytes size = 0;
  Moment lifetime = 0;  // moments in which it is alive
  Bytes load = 0;       // the largest sum of sizes in its time: where little is alive, any place will do
  Moment first = 0, last = 0;
};
std::vector<Traits> find_traits(const PackProblem& problem);

/// The order that is best most often comes first. Measured on random training steps: by load and lifetime it is alone
/// within 1% of the bound in 81%, with the second (by size) in 88%.
inline constexpr int order_count = 8;
Order make_order(int number, const std::vector<Traits>& traits);

}  // namespace trireme::planning
