#pragma once

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// Node-local gathering: every node holds the parameters once more, in the compute type, sharded over its ranks.
///
/// In   a schedule in compute order, written for stage 3; nodes of spec.node_ranks ranks in a row, equal in size.
/// Out  persistent `node` slices, each as long as the slices of one rank of every node together. Gathers before uses
/// read
///      those, within the node. Behind each update (and init) one gather for every place in a node brings the new
///      slices of all ranks to the ranks of that place; what peers gather there lives no longer than that. Gradients,
///      masters and optimizer states stay sharded over all ranks.
/// Source  the secondary partition of ZeRO++ (hpZ), Wang et al. 2023 (arXiv 2306.10209); here forward reads it, too.
Schedule node_shard(Schedule schedule, const ModelSpec& model, const StepSpec& spec);

}  // namespace trireme
