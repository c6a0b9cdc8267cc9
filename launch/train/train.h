#pragma once
// The command `train`: from a checked configuration to the last line of a run.

#include <string>
#include <vector>

#include "comm/bootstrap.h"
#include "launch/config/config.h"
#include "launch/train/export.h"

namespace trireme {

struct TrainOptions {
  std::string config_path;
  std::vector<std::string> overrides;
  std::string sample;      // --sample: text to continue at the end; empty: none
  int sample_tokens = 200;
  ExportOptions model_out;  // --export, --export-type; an empty folder: none
};

/// Runs on every rank. Errors: every kind; those that all ranks have in common are AgreedErrors.
void train(MpiRun& mpi, const TrainOptions& options);

}  // namespace trireme
