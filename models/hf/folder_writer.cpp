#include "models/hf/folder_writer.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "runtime/base/error.h"
#include "runtime/base/input_file.h"

namespace trireme::hf {
namespace {

namespace fs = std::filesystem;

constexpr const char* copied_files[] = {
    "tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",  "vocab.json",         "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "generation_config.json", "chat_template.jinja"};

void check(bool holds, const std::string& path, const char* what) {
  require(holds, ErrorKind::data, "{} {}: {}; free space or choose another place", path, what, std::strerror(errno));
}

/// An open file or folder that is closed at the end of the scope.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : path_(path), number_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    check(number_ >= 0, path, "cannot be opened");
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  int number() const { return number_; }
  void flush() const { check(::fsync(number_) == 0, path_, "cannot be flushed to disk"); }

 private:
  std::string path_;
  int number_;
};

void write_at(int file, Bytes offset, const void* data, Bytes bytes, const std::string& path) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = ::pwrite(file, at, static_cast<std::size_t>(bytes), offset);
    if (put < 0 && errno == EINTR) continue;
    check(put > 0, path, "cannot be written");
    at += put, offset += put, bytes -= put;
  }
}

void write_file(const std::string& path, const std::string& text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  write_at(file.number(), 0, text.data(), static_cast<Bytes>(text.size()), path);
  file.flush();
}

void copy_file(const std::string& from, const std::string& to) {
  const InputFile in(from);
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

}  // namespace

ExportPaths export_paths(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  std::random_device random;
  return {folder, fmt::format("{}.part-{:08x}{:08x}", folder, random(), random())};
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
}

void check_space(const ExportPaths& paths, Bytes bytes) {
  struct statvfs status {};
  const std::string parent = parent_of(paths.folder);
  check(::statvfs(parent.c_str(), &status) == 0, parent, "cannot be looked at");
  const double left = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
  require(left >= static_cast<double>(bytes), ErrorKind::data,
          "{}: the exported model needs {} and {} are left there; free space or "
          "choose another place",
          paths.folder, format_bytes(bytes), format_bytes(static_cast<Bytes>(left)));
}

void create_folder(const ExportPaths& paths, const ExportPlan& plan) {
  std::error_code failed;
  fs::create_directory(paths.temporary, failed);
  require(!failed, ErrorKind::data, "{} cannot be made: {}; choose a place where this user may write", paths.temporary,
          failed.message());
  for (const ExportFile& file : plan.files) {
    const std::string path = paths.temporary + "/" + file.name;
    const Descriptor out(path, O_WRONLY | O_CREAT | O_EXCL);
    errno = ::posix_fallocate(out.number(), 0, file.bytes);
    check(errno == 0, path, "cannot be given its length");
    write_at(out.number(), 0, file.header.data(), static_cast<Bytes>(file.header.size()), path);
    out.flush();
  }
}

FolderWriter::FolderWriter(const ExportPaths& paths, const ExportPlan& plan) : paths_(paths), plan_(plan) {
  try {
    for (const ExportFile& file : plan.files) {
      const std::string path = paths.temporary + "/" + file.name;
      files_.push_back(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      check(files_.back() >= 0, path, "cannot be opened");
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
    check(::fsync(files_[f]) == 0, paths_.temporary + "/" + plan_.files[f].name, "cannot be flushed to disk");
}

void complete_folder(const ExportPaths& paths, const ExportPlan& plan, const FolderTexts& texts) {
  write_file(paths.temporary + "/config.json", texts.config);
  if (!plan.index.empty()) write_file(paths.temporary + "/model.safetensors.index.json", plan.index);
  std::error_code failed;
  if (!texts.copied_from.empty())
    for (const char* name : copied_files)
      if (const std::string from = texts.copied_from + "/" + name; fs::is_regular_file(from, failed))
        copy_file(from, paths.temporary + "/" + name);
  Descriptor(paths.temporary, O_RDONLY | O_DIRECTORY).flush();
}

void publish_folder(const ExportPaths& paths) {
  require(::rename(paths.temporary.c_str(), paths.folder.c_str()) == 0, ErrorKind::data,
          "{} is whole but cannot be renamed to {}: {}; move it yourself", paths.temporary, paths.folder,
          std::strerror(errno));
  Descriptor(parent_of(paths.folder), O_RDONLY | O_DIRECTORY).flush();
}

void discard_folder(const ExportPaths& paths) {
  std::error_code failed;
  fs::remove_all(paths.temporary, failed);
}

}  // namespace trireme::hf
