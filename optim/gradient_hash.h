#pragma once

#include <span>

#include "runtime/execute/op_table.h"
#include "shard/flat_layout.h"

namespace trireme {

/// Brings `hash` to the executor: appends the xxh3 of a gradient's tensors, without padding, to a GradientHashes
/// record. `layouts`, of all units in order, outlive the table.
void register_hash_ops(OpTable& table, std::span<const FlatLayout> layouts);

}  // namespace trireme
