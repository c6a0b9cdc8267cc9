#pragma once
// Checks of sizes that several families share. Errors: Error(config) with the key, its value and what to do.

#include "models/model_config.h"
#include "runtime/base/error.h"

namespace trireme {

/// Heads of width / heads channels.
void check_plain_heads(const ModelConfig& config);
/// An even head size, and frequencies that are some.
void check_rope(const ModelConfig& config);

}  // namespace trireme
