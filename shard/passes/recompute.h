#pragma once

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// Drops what forward saved of the policy's segments and computes it again before their backward.
///
/// In   a schedule of order_step(). A dropped buffer gets a twin that dies with its forward op.
/// Out  `attention`, `mlp`: recompute of that segment, from its kept input, directly before its backward.
///      `block`: recompute of all segments of the block, in order, before the first backward of the block; the
///      activations between its segments are dropped, too.
Schedule recompute(Schedule schedule, const ModelSpec& model, Recompute policy);

}  // namespace trireme
