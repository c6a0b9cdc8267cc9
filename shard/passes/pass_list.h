#pragma once
// The passes by name, in their order: what makes a rank's program from the order in which one rank alone would run it.

#include <cstddef>
#include <span>
#include <string_view>

#include "runtime/schedule/schedule.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// What passes know besides the schedule.
struct PassInput {
  const ModelSpec& model;
  const StepSpec& spec;
  int carried_uses = 0;  // how many uses ahead gathers run in a step, which carries so many into the next one
};

/// One transformation of a schedule, which it leaves as it is where it has nothing to do with it.
struct Pass {
  const char* name;
  Schedule (*run)(Schedule schedule, const PassInput& input);
};

/// In order. What they start from is the work of shard/order: a schedule in compute order.
std::span<const Pass> passes();

/// Where the programs of `enter` begin: with what this many passes have made of the step.
std::size_t passes_before_enter();

/// How many passes have run when the named one has; 0 for "compute_order".
/// Errors: Error(config) for a name that is none, with those that there are.
std::size_t passes_up_to(std::string_view name);

/// Passes number `first` to `last` - 1.
Schedule run_passes(Schedule schedule, const PassInput& input, std::size_t first, std::size_t last);

}  // namespace trireme
