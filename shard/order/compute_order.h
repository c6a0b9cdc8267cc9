#pragma once
// What passes start from: the program as one rank alone would write it down. Each use gathers just before it computes,
// each gradient is reduced as soon as it is whole; nothing overlaps, nothing is dropped, no token and no event exists
// yet.

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// One training step: every local microbatch forward and backward, then square sums, verdict and updates.
/// Written as if this rank had a microbatch in every round; strip_absent() takes away what it has not.
Schedule order_step(const ModelSpec& model, const StepSpec& spec);

/// The same with an audit: behind the turns every rank that has a microbatch replays the first one of its right
/// neighbour, with its gradients hashed instead of summed, and receives the neighbour's own hashes.
Schedule order_step_with_audit(const ModelSpec& model, const StepSpec& spec);

/// A step without its end: gradients and their sums, no update.
Schedule order_diagnose(const ModelSpec& model, const StepSpec& spec);

/// One microbatch on every rank, forward with loss, and the sums over the ranks.
Schedule order_validate(const ModelSpec& model, const StepSpec& spec);

/// One microbatch, the same on every rank, forward; chooses the most likely next token after one position.
Schedule order_sample(const ModelSpec& model, const StepSpec& spec);

/// Parameters, optimizer states, constants and counters from the seed.
Schedule order_init(const ModelSpec& model, const StepSpec& spec);

/// The same with the parameters of a model folder, which pass through `staging_bytes` (above 0) that all units share.
Schedule order_load(const ModelSpec& model, const StepSpec& spec, Bytes staging_bytes);

}  // namespace trireme
