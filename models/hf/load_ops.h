#pragma once
// Brings `read` to the executor: a unit's slice from a model folder.

#include <memory>
#include <span>

#include "models/hf/model_folder.h"
#include "runtime/execute/op_table.h"
#include "shard/flat_layout.h"
#include "shard/unit.h"

namespace trireme::hf {

/// What a unit passes through on its way from the files, in the plan of schedule load.
inline constexpr Bytes load_staging_bytes = 4 * MiB;

/// `units` and `layouts` describe the whole model, in unit order, and outlive the table. Every rank reads the bytes of
/// its own slice, or of all where it holds all; padding and the optimizer's states are zero.
void register_load_ops(OpTable& table, std::shared_ptr<const ModelFolder> folder, std::span<const UnitSpec> units,
                       std::span<const FlatLayout> layouts);

}  // namespace trireme::hf
