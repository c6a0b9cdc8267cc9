#pragma once
// What stands where a file was not fetched: pointers of git-lfs and git-annex, links to nothing.

#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/input_file.h"

namespace trireme {

/// A small text in place of a file.
struct FilePointer {
  std::string_view name, advice;  // "a git-lfs pointer", what fetches the file
};

/// The pointer that a file with the first bytes `head` (64 suffice) is; none for any other.
std::optional<FilePointer> pointer_kind(std::string_view head);

/// Whether there is anything of that name, also a link to nothing: that is an error to tell, not a file that lacks.
bool is_there(const std::string& path);

/// Errors  Error(data) that calls a link to nothing what it is. Anything else passes.
void refuse_broken_link(const std::string& path);

/// Errors  Error(data): those of InputFile; a link to nothing and a pointer are called that, with what to do.
InputFile open_fetched(const std::string& path);

}  // namespace trireme
