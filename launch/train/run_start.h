#pragma once
// The start of a run: what its ranks plan and check together, and say, before any memory is taken for tensors.

#include <memory>

#include "comm/bootstrap.h"
#include "launch/plan/joint_plan.h"
#include "launch/train/export.h"
#include "launch/train/log_folder.h"
#include "launch/train/run_inputs.h"

namespace trireme {

/// Who runs what, from its start to its end.
struct Run {
  MpiRun& mpi;
  Communicator& communicator;
  const TrainOptions& options;
  const RunInputs& inputs;

  bool speaks() const { return mpi.rank() == 0; }
};

/// A run that nothing refuses any more but the system.
struct RunStart {
  TrainerSettings settings;
  double peak_flops = 0;  // of a thread
  JointPlan plan;
  std::unique_ptr<LogFolder> log_folder;      // of the rank that speaks, where there is a log
  std::unique_ptr<ModelExport> model_export;  // with its room on the disk; null without one

  double rank_peak_flops() const { return peak_flops * settings.threads; }
};

/// Collective. Errors: AgreedErrors.
RunStart start_run(const Run& run);

}  // namespace trireme
