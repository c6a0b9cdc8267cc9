#pragma once
// What was typed and what it names: configuration, model folder and data, read by each rank and compared.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "launch/config/config.h"
#include "launch/data/data.h"
#include "launch/train/export.h"
#include "models/hf/model_folder.h"

namespace trireme {

struct TrainOptions {
  std::string config_path;
  std::vector<std::string> overrides;
  std::string sample;  // --sample: text to continue at the end; empty: none
  int sample_tokens = 200;
  ExportOptions model_out;  // --export, --export-type; an empty folder: none
};

/// Everything that a run needs before its first step, the same on all ranks.
struct RunInputs {
  Config config;
  std::shared_ptr<const hf::ModelFolder> folder;  // null: weights from the seed
  TokenStream train;
  std::optional<TokenStream> valid;
};

/// Reads on every rank and compares. Errors: AgreedError(config), AgreedError(data), with what to do.
RunInputs read_together(Communicator& communicator, const TrainOptions& options);

}  // namespace trireme
