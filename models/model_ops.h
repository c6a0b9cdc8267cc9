#pragma once
// Brings init, forward, recompute, backward and forward_backward to the executor: finds an op's operands and calls the
// model's segment.

#include <cstdint>
#include <memory>
#include <span>

#include "models/model.h"
#include "runtime/execute/op_table.h"
#include "shard/flat_layout.h"
#include "shard/unit.h"

namespace trireme {

/// `units` and `layouts` describe the whole model, in unit order, and outlive the table; `seed` makes the first
/// parameters.
void register_model_ops(OpTable& table, std::shared_ptr<const Model> model, std::span<const UnitSpec> units,
                        std::span<const FlatLayout> layouts, std::uint64_t seed);

}  // namespace trireme
