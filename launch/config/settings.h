#pragma once
// From a configuration to what a rank's trainer needs.

#include <string>

#include "launch/config/config.h"
#include "launch/train/trainer.h"
#include "optim/lr_schedule.h"

namespace trireme {

/// `ranks_on_node` share this process's CPUs where device.threads is 0, and their memory unless memory.share is false.
TrainerSettings trainer_settings(const Config& config, int ranks_on_node);
LrSchedule lr_schedule(const Config& config);

/// CPUs that this process may use.
int usable_cpus();

/// xxh3 of what the arithmetic depends on besides the configuration: the version of our kernels. Equal fingerprints and
/// equal M keys are equal runs.
std::string numerics_fingerprint(const Config& config);

}  // namespace trireme
