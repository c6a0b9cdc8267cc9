#pragma once
// Finds what is not finite first: the checks of the schedule `diagnose`.

#include <span>
#include <string>
#include <vector>

#include "runtime/execute/op_table.h"
#include "shard/flat_layout.h"
#include "shard/step_records.h"
#include "shard/unit.h"

namespace trireme {

/// Brings `check_finite` to the executor: the first value of a schedule that is not finite goes into a Finding.
/// `layouts`, of all units in order, outlive the table.
void register_check_ops(OpTable& table, std::span<const FlatLayout> layouts);

/// A finding in words: the tensor, the op that made it, its unit and segment.
std::string describe(const Finding& finding, const Schedule& schedule, const std::vector<UnitSpec>& units);

}  // namespace trireme
