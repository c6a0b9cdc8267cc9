#pragma once
// The table of first bytes that tell a file's kind.

#include <span>
#include <string_view>

namespace trireme {

/// A file is of this kind where both pieces stand at their places; an empty second one stands anywhere.
struct FileMagic {
  std::string_view bytes;  // at 0
  std::string_view name, advice;
  std::size_t second_at = 0;
  std::string_view second = {};
};

/// Exact enough that prose which starts with the letters of one is none: most hold a byte that no text has.
std::span<const FileMagic> file_magics();

}  // namespace trireme
