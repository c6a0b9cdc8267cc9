#include "models/hf/folder_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "runtime/base/error.h"
#include "runtime/base/input_file.h"
#include "runtime/base/log.h"
#include "runtime/base/system_call.h"
#include "runtime/base/unfetched_file.h"

namespace trireme::hf {
namespace {

namespace fs = std::filesystem;

constexpr const char* copied_files[] = {
    "tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",  "vocab.json",         "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "generation_config.json", "chat_template.jinja"};

// Its own name comes last: no program takes a folder without config.json for a model.
constexpr const char* pending_config = "config.json.part";

void check(const SystemCall& call, const std::string& path, const char* what) {
  require(call.succeeded(), ErrorKind::data, "{} {}: {}{}", path, what, call.reason(), call.place_advice());
}

/// An open file or folder that is closed at the end of the scope.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : path_(path), number_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    check(SystemCall(number_), path, "cannot be opened");
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  int number() const { return number_; }
  void flush() const { check(SystemCall(::fsync(number_)), path_, "cannot be flushed to disk"); }

 private:
  std::string path_;
  int number_;
};

void flush_folder(const std::string& path) { Descriptor(path, O_RDONLY | O_DIRECTORY).flush(); }

void write_at(int file, Bytes offset, const void* data, Bytes bytes, const std::string& path) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const SystemCall put(::pwrite(file, at, static_cast<std::size_t>(bytes), offset));
    if (put.error() == EINTR) continue;
    check(put.result() == 0 ? SystemCall::returned(EIO) : put, path, "cannot be written");
    at += put.result(), offset += put.result(), bytes -= put.result();
  }
}

void write_file(const std::string& path, const std::string& text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  write_at(file.number(), 0, text.data(), static_cast<Bytes>(text.size()), path);
  file.flush();
}

void copy_file(const InputFile& in, const std::string& to) {
  const Descriptor out(to, O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<char> buffer(static_cast<std::size_t>(256 * KiB));
  for (Bytes at = 0; at < in.size_bytes(); at += static_cast<Bytes>(buffer.size())) {
    const Bytes bytes = std::min(in.size_bytes() - at, static_cast<Bytes>(buffer.size()));
    in.read(at, buffer.data(), bytes);
    write_at(out.number(), at, buffer.data(), bytes, to);
  }
  out.flush();
}

std::string parent_of(const std::string& folder) {
  const fs::path parent = fs::path(folder).parent_path();
  return parent.empty() ? "." : parent.string();
}

// A weight that training made and f16 cannot hold must not become infinite in silence.
void check_range(const Overlap& part, const float* values) {
  constexpr float least_infinite = 65520;
  for (Elems i = 0; i < part.elems; ++i)
    require(!(std::isfinite(values[i]) && std::fabs(values[i]) >= least_infinite), ErrorKind::data,
            "tensor {} has a weight of {}, beyond f16; export as bf16 or f32", part.piece->name, values[i]);
}

std::string lock_of(const ExportPaths& paths) { return paths.temporary + "/run.lock"; }

dev_t device_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_dev : 0;
}

// The room itself, not only the length. Where a file system cannot reserve (NFS 3, ZFS), the C library writes a byte
// into each of its blocks, which takes the room as well unless it compresses or copies on write.
void take_room(const Descriptor& file, Bytes bytes, const std::string& path) {
  int cause = 0;
  do cause = ::posix_fallocate(file.number(), 0, bytes);
  while (cause == EINTR);
  check(SystemCall::returned(cause), path, "cannot be given its room");
}

}  // namespace

ExportPaths export_paths(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return {folder, folder + ".part-export"};
}

void check_target(const ExportPaths& paths) {
  std::error_code failed;
  const fs::file_status status = fs::symlink_status(paths.folder, failed);
  const bool is_free = status.type() == fs::file_type::not_found ||
                       (fs::is_directory(status) && fs::is_empty(paths.folder, failed) && !failed);
  require(is_free, ErrorKind::config,
          "{}: the folder to export to is there already; name one that is not, or an empty one", paths.folder);
  const std::string parent = parent_of(paths.folder);
  require(fs::is_directory(parent, failed), ErrorKind::config, "{}: {} is no folder; make it first", paths.folder,
          parent);
  require(!fs::exists(status) || device_of(paths.folder) == device_of(parent), ErrorKind::config,
          "{}: something is mounted there, which no finished folder can replace; name a folder in it", paths.folder);
}

void check_space(const ExportPaths& paths, Bytes bytes) {
  struct statvfs status {};
  const std::string parent = parent_of(paths.folder);
  check(SystemCall(::statvfs(parent.c_str(), &status)), parent, "cannot be looked at");
  const double left = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
  require(left >= static_cast<double>(bytes), ErrorKind::data,
          "{}: the exported model needs {} and {} are left there; free space or "
          "choose another place",
          paths.folder, format_bytes(bytes), format_bytes(static_cast<Bytes>(left)));
}

FolderClaim::FolderClaim(const ExportPaths& paths) : paths_(paths), lock_path_(lock_of(paths)) {
  std::error_code failed;
  const bool is_made = fs::create_directory(paths.temporary, failed);
  const SystemCall made = SystemCall::returned(failed.value());
  require(made.succeeded(), made.lacks_space() ? ErrorKind::data : ErrorKind::config,
          "{} cannot be made: {}; export to a place with room where this user may write", paths.temporary,
          made.reason());
  try {
    lock(is_made || fs::is_empty(paths.temporary, failed));
  } catch (...) {
    if (is_made) fs::remove(paths.temporary, failed);
    throw;
  }
  if (!is_made)
    for (const fs::directory_entry& left : fs::directory_iterator(paths.temporary, failed))
      if (left.path() != lock_path_) fs::remove_all(left.path(), failed);
  lock_->sign();
}

// The lock goes before the folder gets its name: what is without one is whole, or is none of ours.
void FolderClaim::lock(bool is_ours) {
  lock_.emplace(lock_path_, is_ours ? FileLock::Missing::make : FileLock::Missing::fail);
  const FileLock::State state = lock_->state();
  if (state == FileLock::State::busy)
    throw Error(ErrorKind::config, fmt::format("{}: another run exports there ({}); wait for its end, or name another "
                                               "folder",
                                               paths_.folder, lock_->holder()));
  require(is_ours || lock_->error() != std::errc::no_such_file_or_directory, ErrorKind::config,
          "{} is there already, whole or not of an export; move it away, or name another folder", paths_.temporary);
  check(SystemCall::returned(lock_->error().value()), lock_path_, "cannot be written");
  require(is_ours || state == FileLock::State::held, ErrorKind::config,
          "{} is there already, and this file system has no locks to tell whether its run is alive; remove it if not",
          paths_.temporary);
}

FolderClaim::~FolderClaim() {
  if (!keeps_) discard_folder(paths_);
}

void FolderClaim::publish() {
  const std::string config = paths_.temporary + "/config.json", pending = paths_.temporary + "/" + pending_config;
  check(SystemCall(::rename(pending.c_str(), config.c_str())), config, "cannot be given its name");
  ::unlink(lock_path_.c_str());
  keeps_ = true;
  try {
    flush_folder(paths_.temporary);
  } catch (const Error& error) {
    throw Error(ErrorKind::data, fmt::format("{} is whole but was not renamed to {}: {}; move it yourself",
                                             paths_.temporary, paths_.folder, error.what()));
  }
  const SystemCall renamed(::rename(paths_.temporary.c_str(), paths_.folder.c_str()));
  require(renamed.succeeded(), ErrorKind::data, "{} is whole but cannot be renamed to {}: {}; move it yourself",
          paths_.temporary, paths_.folder, renamed.reason());
  try {
    flush_folder(parent_of(paths_.folder));
  } catch (const Error& error) {
    warn(fmt::format("{} is whole, but its name may not outlive a crash of this machine: {}", paths_.folder,
                     error.what()));
  }
}

void create_files(const ExportPaths& paths, const ExportPlan& plan, const FolderTexts& texts) {
  for (const ExportFile& file : plan.files) {
    const std::string path = paths.temporary + "/" + file.name;
    const Descriptor out(path, O_WRONLY | O_CREAT | O_EXCL);
    take_room(out, file.bytes, path);
    write_at(out.number(), 0, file.header.data(), static_cast<Bytes>(file.header.size()), path);
    out.flush();
  }
  write_file(paths.temporary + "/" + pending_config, texts.config);
  if (!plan.index.empty()) write_file(paths.temporary + "/model.safetensors.index.json", plan.index);
  if (!texts.copied_from.empty())
    for (const char* name : copied_files)
      if (const std::string from = texts.copied_from + "/" + name; is_there(from))
        copy_file(open_fetched(from), paths.temporary + "/" + name);
  flush_folder(paths.temporary);
}

FolderWriter::FolderWriter(const ExportPaths& paths, const ExportPlan& plan) : paths_(paths), plan_(plan) {
  try {
    for (const ExportFile& file : plan.files) {
      const std::string path = paths.temporary + "/" + file.name;
      files_.push_back(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      check(SystemCall(files_.back()), path, "cannot be opened");
    }
  } catch (...) {
    for (int file : files_) ::close(file);
    throw;
  }
}

FolderWriter::~FolderWriter() {
  for (int file : files_) ::close(file);
}

void FolderWriter::write(const ExportPlace& place, Elems first, Elems elems, const std::byte* data) const {
  const Bytes width = size_bytes(place.type);
  write_at(files_[place.file], place.begin + first * width, data, elems * width,
           paths_.temporary + "/" + plan_.files[place.file].name);
}

void FolderWriter::write_slice(const std::vector<Overlap>& parts, View slice, View staging) const {
  auto* const stored = static_cast<std::byte*>(staging.data);
  for (const Overlap& part : parts) {
    const ExportPlace& place = plan_.places.at(part.piece->name);
    float* values = slice.as<float>() + part.in_slice;
    if (place.type == Storage::f16) check_range(part, values);
    for (const Block& block : blocks(part, staging.bytes() / size_bytes(place.type))) {
      narrow(exchange(part, block, values, stored, place.type));
      const std::byte* at = stored;
      for_each_run(*part.piece, block, [&](Elems first, Elems elems) {
        write(place, first, elems, at);
        at += elems * size_bytes(place.type);
      });
    }
  }
}

void FolderWriter::flush() const {
  for (std::size_t f = 0; f < files_.size(); ++f)
    check(SystemCall(::fsync(files_[f])), paths_.temporary + "/" + plan_.files[f].name, "cannot be flushed to disk");
}

std::string claim_holder(const ExportPaths& paths) {
  std::ifstream file(lock_of(paths));
  std::string holder;
  std::getline(file, holder);
  return holder;
}

void discard_folder(const ExportPaths& paths) {
  // Two ranks at it at once find gone what they just saw; whoever stays goes on.
  constexpr int most_tries = 100;
  std::error_code failed;
  for (int tries = 0; tries == 0 || (failed && tries < most_tries); ++tries) fs::remove_all(paths.temporary, failed);
}

}  // namespace trireme::hf
