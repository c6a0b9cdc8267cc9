#pragma once

#include <span>

#include "shard/unit.h"

namespace trireme {

/// Gives the frozen tensors of every unit a flat buffer of their own: a unit of kind `frozen` behind all others, which
/// has neither gradient nor optimizer state and is gathered together with the unit that it belongs to.
///
/// Out  both units list all tensors, so that their numbers stay; FlatLayout gives each its own part of them.
ModelSpec split_frozen(ModelSpec model);

/// The unit whose tensors unit number `u` holds: itself, or the one that a frozen unit belongs to.
std::size_t described_unit(std::span<const UnitSpec> units, std::size_t u);

}  // namespace trireme
