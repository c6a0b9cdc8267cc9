#pragma once
// What a configuration says that its run will not do as it reads.

#include <string>
#include <vector>

#include "launch/config.h"

namespace trireme {

/// A line each, with the keys and what to do: phases of the learning rate that no step reaches, validations and audits
/// that never come, groups of sums larger than a step, bf16 gradients of an f32 model, bytes in a vocabulary of more.
/// Empty for a configuration that runs as it reads. Nothing in them is wrong: what contradicts itself does not load.
std::vector<std::string> notices(const Config& config);

}  // namespace trireme
