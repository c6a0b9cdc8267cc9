#pragma once
// Brings round, accumulate, add_uses, square_sum, verdict and update to the executor: from gradient slices to new
// parameters.

#include <span>

#include "runtime/execute/op_table.h"
#include "shard/flat_layout.h"
#include "shard/unit.h"

namespace trireme {

/// AdamW as in PyTorch: decoupled decay, bias-corrected, eps outside the root.
struct OptimizerSettings {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
  double clip = 1.0;  // of the global gradient norm; 0: no clipping
};

/// `units` and `layouts` describe the whole model, in unit order, and outlive the table.
void register_optim_ops(OpTable& table, const OptimizerSettings& settings, std::span<const UnitSpec> units,
                        std::span<const FlatLayout> layouts);

}  // namespace trireme
