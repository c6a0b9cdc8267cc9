#pragma once
// Tokens on disk: text read as bytes, or .bin files with a header (token_layout.h). Read with pread, never mapped.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/data/token_layout.h"
#include "runtime/base/input_file.h"

namespace trireme {

/// Whether a path ends in .bin; any other is of text.
bool names_token_file(const std::string& path);

/// An open file of tokens. Reading is safe from any thread.
class TokenFile {
 public:
  /// A path that ends in .bin is a token file; any other file is text, whose bytes are the tokens.
  /// Errors: Error(data) with path, what is wrong and what to do: missing, unreadable, empty, of another kind by its
  /// first bytes, damaged header, a length that is not the header's.
  explicit TokenFile(const std::string& path);

  std::int64_t tokens() const { return layout_.tokens; }
  const std::string& path() const { return file_.path(); }
  /// Tokens [first, first + out.size()). Errors: Error(data) when the file got shorter.
  void read(std::int64_t first, std::span<std::int32_t> out) const;

  /// xxh3 of the whole content, the largest token, and how often token `counted` occurs. Reads the file once.
  struct Summary {
    std::uint64_t hash = 0;
    std::int64_t largest = 0, count = 0;
  };
  Summary summarize(std::optional<std::int32_t> counted = {}) const;

 private:
  InputFile file_;
  TokenLayout layout_;
};

/// Writes tokens as a version 1 file: to a temporary name, flushed, then renamed, so that no half a file is ever seen.
/// Errors: Error(config) for an output that does not end in .bin and for inputs that do; Error(data) with path and
/// reason (an input that is the output, a full disk); the temporary file is removed.
void write_token_file(const std::string& path, std::span<const std::string> text_files);

}  // namespace trireme
