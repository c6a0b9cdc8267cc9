#pragma once
// A model folder out of a run: all ranks write what they own.

#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "launch/trainer.h"
#include "models/hf/folder_writer.h"
#include "models/hf/model_folder.h"

namespace trireme {

/// Where to, and in which type; without one every tensor has that of the folder that the run began with, or f32.
struct ExportOptions {
  std::string folder;
  std::optional<hf::Storage> type;
};

/// The export at the end of a run. Everything that can be known is checked at its start.
class ModelExport {
 public:
  /// Collective. `source`: the folder that the run begins with; null without one.
  /// Errors: AgreedError(config) for a target that is in use or that not all ranks see; AgreedError(data) where it does
  /// not fit.
  ModelExport(const ExportOptions& options, const ModelConfig& model, std::shared_ptr<const hf::ModelFolder> source,
              Communicator& communicator);

  /// Collective, on each rank's host thread, when nothing runs any more. The folder has its name when it is whole.
  /// Errors: AgreedError(data) from any rank; nothing is left then.
  void write(Trainer& trainer) const;

  Bytes bytes() const { return plan_.total_bytes(); }

 private:
  void write_units(Trainer& trainer) const;

  ExportOptions options_;
  ModelConfig model_;
  std::shared_ptr<const hf::ModelFolder> source_;
  hf::TensorMap map_;
  hf::ExportPlan plan_;
  hf::ExportPaths paths_;
  int rank_ = 0;
};

/// The command `checkpoint export`: one process, a model folder again, in another type where one is given, a part at a
/// time. Errors: those of reading and writing.
void export_folder(const std::string& from, const ExportOptions& options);

}  // namespace trireme
