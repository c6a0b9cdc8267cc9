#pragma once
// What an audit found: whose gradients differ from their replay. Pure.

#include <optional>
#include <span>
#include <string>

namespace trireme {

/// `differs[r]`: where rank r's replay of its right neighbour's first microbatch differs from the neighbour's
/// gradients: names of units, empty where it does not. Only ranks with a microbatch, in a row.
///
/// Out  no value where all agree. Else who is to blame: from 3 ranks on a rank in two mismatches, or, where a mismatch
/// stands
///      alone, the rank whose gradient it was (the other one's own gradients agree with their replay); else both.
std::optional<std::string> audit_verdict(std::span<const std::string> differs);

}  // namespace trireme
