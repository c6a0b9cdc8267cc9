#include "runtime/base/unfetched_file.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr FilePointer lfs = {"a git-lfs pointer", "run git lfs pull in its folder"};
constexpr FilePointer annex = {"a git-annex pointer", "run git annex get in its folder"};

struct Beginning {
  std::string_view text;
  FilePointer pointer;
};
// git-lfs was called hawser before its first version; the pointers of Xet are those of git-lfs.
constexpr Beginning beginnings[] = {{"version https://git-lfs.github.com/spec/", lfs},
                                    {"version https://hawser.github.com/spec/", lfs},
                                    {"/annex/objects/", annex}};

}  // namespace

std::optional<FilePointer> pointer_kind(std::string_view head) {
  for (const Beginning& beginning : beginnings)
    if (head.starts_with(beginning.text)) return beginning.pointer;
  return std::nullopt;
}

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
  const std::string target = ends_nowhere ? fs::read_symlink(path, unread).string() : "";
  const bool is_annexed = target.find("annex/objects/") != std::string::npos;
  require(
      !ends_nowhere, ErrorKind::data,
      "{}: a link to {}, where nothing is; copy what it stands for, too (cp -rL follows links), or fetch it again{}",
      path, target, is_annexed ? " with git annex get" : "");
}

InputFile open_fetched(const std::string& path) {
  refuse_broken_link(path);
  InputFile file(path);
  std::string head(static_cast<std::size_t>(std::min<Bytes>(file.size_bytes(), 64)), '\0');
  file.read(0, head.data(), static_cast<Bytes>(head.size()));
  if (const std::optional<FilePointer> pointer = pointer_kind(head))
    throw Error(ErrorKind::data, fmt::format("{}: {} of {} bytes, not the file that it stands for; {}", path,
                                             pointer->name, file.size_bytes(), pointer->advice));
  return file;
}

}  // namespace trireme
