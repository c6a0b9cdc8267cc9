#pragma once
// A model folder on its way to the disk, written by several ranks under a name of its own until it is whole.

#include <string>
#include <vector>

#include "models/hf/export_plan.h"
#include "models/hf/slice.h"

namespace trireme::hf {

/// Where the folder will be, and where it lies until then: beside it, so that a rename is enough.
struct ExportPaths {
  std::string folder, temporary;
};
/// A temporary name that no other run has.
ExportPaths export_paths(std::string folder);

/// Errors: Error(config) for a target that is there and is no empty folder, or whose parent is none.
void check_target(const ExportPaths& paths);
/// Errors: Error(data) where the file system has less than `bytes` free.
void check_space(const ExportPaths& paths, Bytes bytes);

/// One rank's: makes the temporary folder and its files, at full length (so that a full disk is told now) with headers.
/// Errors: Error(data) with the path and the system's reason; discard_folder() then.
void create_folder(const ExportPaths& paths, const ExportPlan& plan);

/// Any rank's: writes its parts into the files of the temporary folder with pwrite.
class FolderWriter {
 public:
  /// Errors: Error(data) where a file is not there.
  FolderWriter(const ExportPaths& paths, const ExportPlan& plan);
  ~FolderWriter();
  FolderWriter(const FolderWriter&) = delete;

  /// `slice`: f32, this rank's of a unit, as overlaps() gave `parts`. Rounds to each tensor's type.
  /// Errors: Error(data) for a disk that is full, and for a weight beyond f16 that f16 was asked for.
  void write_slice(const std::vector<Overlap>& parts, View slice, View staging) const;
  /// What was written is on the disk when it returns.
  void flush() const;

 private:
  void write(const ExportPlace& place, Elems first, Elems elems, const std::byte* data) const;

  const ExportPaths& paths_;
  const ExportPlan& plan_;
  std::vector<int> files_;
};

/// What stands beside the tensors.
struct FolderTexts {
  std::string config;
  std::string copied_from;  // a model folder whose tokenizer's files go along; empty: none
};

/// One rank's, when all have flushed: adds config.json, the index and the tokenizer, and flushes them.
/// Errors: Error(data); discard_folder() then.
void complete_folder(const ExportPaths& paths, const ExportPlan& plan, const FolderTexts& texts);
/// Gives the folder its name. Errors: Error(data) that tells the temporary name, under which the whole folder stays.
void publish_folder(const ExportPaths& paths);

/// Takes away what create_folder() made. Errors: none.
void discard_folder(const ExportPaths& paths);

}  // namespace trireme::hf
