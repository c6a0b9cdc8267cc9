#pragma once
// A packing that grows from the bottom, without holes under what it places next.

#include "runtime/schedule/plan/memory_plan_orders.h"
#include "runtime/schedule/plan/memory_plan_pack.h"

namespace trireme::planning {

/// Fills the lowest place of the outline again and again: with the first item of the order whose time lies within it,
/// or where there is none, by raising it to its lower neighbour. Items with several stretches of time lie below all
/// others.
///
/// Out     adds the items and steps of the outline that were looked at to `steps`.
/// Cost    O(n (n + moments)), of which a step is about a nanosecond: for problems of some thousand items.
/// Source  best fit of Burke et al. 2004 for strips, which Sekiyama et al. 2018 (arXiv 1804.10001) took to training.
void pack_skyline(const PackProblem& problem, const Order& order, Packing& packing, std::size_t& steps);

}  // namespace trireme::planning
