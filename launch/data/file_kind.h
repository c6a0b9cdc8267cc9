#pragma once
// What a file is by its first bytes: anything can be read as bytes, and would be trained on without a word.

#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/input_file.h"

namespace trireme {

/// How a file is going to be read.
enum class ReadAs { text, tokens };

struct FileKind {
  std::string name;    // "gzip"
  std::string advice;  // what makes text or tokens of it
};

/// Bytes of a file's start that suffice to tell its kind.
inline constexpr Bytes file_head_bytes = 4096;

/// The kind of a file that starts with `head` and has `file_bytes` bytes; none where it may be what it is read as. Read
/// as text: compressed files, archives, arrays, tables, documents, models, pictures, programs, pointers to files that
/// were never fetched, JSON with keys, text of 16 or 32 bits, token files. Read as tokens: all but the last two.
std::optional<FileKind> foreign_kind(std::string_view head, Bytes file_bytes, ReadAs read_as);

/// Errors: Error(data) with path, kind and what to do where the file is of a foreign kind.
void refuse_foreign(const InputFile& file, ReadAs read_as);

/// Whether text starts with the byte order mark of UTF-8, three bytes that are no part of it.
bool has_utf8_mark(std::string_view head);

}  // namespace trireme
