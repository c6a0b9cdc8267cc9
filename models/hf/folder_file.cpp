#include "models/hf/folder_file.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "runtime/base/error.h"

namespace trireme::hf {
namespace {

namespace fs = std::filesystem;

// git-lfs was called hawser before its first version; the pointers of Xet are those of git-lfs.
constexpr std::string_view pointer_beginnings[] = {"version https://git-lfs.github.com/spec/",
                                                   "version https://hawser.github.com/spec/"};

bool is_pointer(const InputFile& file) {
  std::string begin(static_cast<std::size_t>(std::min<Bytes>(file.size_bytes(), 64)), '\0');
  file.read(0, begin.data(), static_cast<Bytes>(begin.size()));
  return std::any_of(std::begin(pointer_beginnings), std::end(pointer_beginnings),
                     [&](std::string_view text) { return begin.starts_with(text); });
}

}  // namespace

bool is_there(const std::string& path) {
  std::error_code failed;
  return fs::symlink_status(path, failed).type() != fs::file_type::not_found;
}

void refuse_broken_link(const std::string& path) {
  std::error_code failed;
  if (!fs::is_symlink(fs::symlink_status(path, failed))) return;
  const bool ends_nowhere =
      fs::status(path, failed).type() == fs::file_type::not_found || failed == std::errc::too_many_symbolic_link_levels;
  std::error_code unread;
  require(!ends_nowhere, ErrorKind::data,
          "{}: a link to {}, where nothing is; copy what it stands for, too (cp -rL follows links), or fetch it again",
          path, fs::read_symlink(path, unread).string());
}

InputFile open_file(const std::string& path) {
  refuse_broken_link(path);
  InputFile file(path);
  require(!is_pointer(file), ErrorKind::data,
          "{}: a git-lfs pointer of {} bytes, not the file that it stands for; run git lfs pull in its folder", path,
          file.size_bytes());
  return file;
}

}  // namespace trireme::hf
