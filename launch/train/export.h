#pragma once
// A model folder out of a run: all ranks write what they own.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "launch/train/program_runner.h"
#include "models/hf/folder_writer.h"
#include "models/hf/model_folder.h"

namespace trireme {

/// Where to, and in which type; without one every tensor has that of the folder that the run began with, or f32.
struct ExportOptions {
  std::string folder;
  std::optional<hf::Storage> type;
};

/// The export at the end of a run. Everything that can be known is checked at its start, and the room on the disk
/// taken.
class ModelExport {
 public:
  /// Collective. Holds the place until it goes. `source`: the folder that the run begins with; null without one.
  /// Errors: AgreedError(config) for a target that is in use or that not all ranks see; AgreedError(data) where it does
  /// not fit.
  ModelExport(const ExportOptions& options, const ModelConfig& model, std::shared_ptr<const hf::ModelFolder> source,
              Communicator& communicator);
  /// What was not published goes, by whichever rank still can: a rank that failed alone ends the others at once.
  ~ModelExport();
  ModelExport(const ModelExport&) = delete;

  /// Collective, before the long part: takes the room on the disk. Errors: AgreedError(data) where there is none.
  void take_room(Communicator& communicator) const;
  /// Collective, on each rank's host thread, when nothing runs any more. The folder has its name when it is whole.
  /// Errors: AgreedError(data) from any rank; nothing is left then, or the whole folder under a name that is told.
  void write(ProgramRunner& runner);

  Bytes bytes() const { return plan_.total_bytes(); }

 private:
  void claim(Communicator& communicator);
  void write_units(ProgramRunner& runner) const;

  ExportOptions options_;
  ModelConfig model_;
  std::shared_ptr<const hf::ModelFolder> source_;
  hf::TensorMap map_;
  hf::ExportPlan plan_;
  hf::ExportPaths paths_;
  int rank_ = 0;
  std::optional<hf::FolderClaim> claim_;  // rank 0's; removes what it has not published
  std::string holder_;                    // of the claim, as its folder tells all ranks
  bool discards_ = false;                 // the temporary folder is seen from here, and not written yet
};

/// Runs `task` here and agrees with the other ranks on its success, on the stream to which the communicator belongs.
/// Collective. Errors: AgreedError, thrown here and not on the stream, which goes on.
void together(ProgramRunner& runner, const std::function<void()>& task);

/// The command `checkpoint export`: one process, a model folder again, in another type where one is given, a part at a
/// time. Errors: those of reading and writing.
void export_folder(const std::string& from, const ExportOptions& options);

}  // namespace trireme
