#pragma once
// A model folder on its way to the disk, written by several ranks under a name of its own until it is whole.

#include <optional>
#include <string>
#include <vector>

#include "models/hf/export_plan.h"
#include "models/hf/slice.h"
#include "runtime/base/file_lock.h"

namespace trireme::hf {

/// Where the folder will be, and where it lies until then: beside it, so that a rename is enough.
struct ExportPaths {
  std::string folder, temporary;
};
ExportPaths export_paths(std::string folder);

/// Errors: Error(config) for a target that is there and is no empty folder, or whose parent is none.
void check_target(const ExportPaths& paths);
/// Errors: Error(data) where the file system has less than `bytes` free.
void check_space(const ExportPaths& paths, Bytes bytes);

/// One process's: the temporary folder, made and held so that no second export to the same place goes into it. What one
/// that died left in it is removed. Goes with all that is in it, unless it has been published.
class FolderClaim {
 public:
  /// Errors: Error(config) where another process holds it, or where it is there and no export made it; Error(data)
  /// where it cannot be made.
  explicit FolderClaim(const ExportPaths& paths);
  ~FolderClaim();
  FolderClaim(const FolderClaim&) = delete;

  /// Of the whole folder: gives it its name.
  /// Errors: Error(data) that tells the temporary name, under which the whole folder stays. What fails behind the name
  /// is told as a warning.
  void publish();

 private:
  void lock(bool is_ours);

  ExportPaths paths_;
  std::string lock_path_;
  std::optional<FileLock> lock_;
  bool keeps_ = false;
};

/// What stands beside the tensors.
struct FolderTexts {
  std::string config;
  std::string copied_from;  // a model folder whose tokenizer's files go along; empty: none
};

/// One rank's, in a folder that was claimed: everything but the tensors, whose files are given their length and their
/// room on the disk, so that a full disk is told now and not when they are written. Errors: Error(data) with the path
/// and the system's reason.
void create_files(const ExportPaths& paths, const ExportPlan& plan, const FolderTexts& texts);

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

/// "process 12 on node3": whoever holds the temporary folder, or held it last; empty where that cannot be read.
std::string claim_holder(const ExportPaths& paths);

/// Takes away the temporary folder. Errors: none.
void discard_folder(const ExportPaths& paths);

}  // namespace trireme::hf
