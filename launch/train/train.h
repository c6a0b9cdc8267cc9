#pragma once
// The command `train`: from what was typed to the last line of a run.

#include "comm/bootstrap.h"
#include "launch/train/run_inputs.h"

namespace trireme {

/// Runs on every rank. Errors: every kind; those that all ranks have in common are AgreedErrors.
void train(MpiRun& mpi, const TrainOptions& options);

}  // namespace trireme
