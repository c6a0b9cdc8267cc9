#pragma once
// Token files of other programs: raw integers without a header.

#include <optional>
#include <string>

#include "runtime/base/input_file.h"

namespace trireme {

/// Integers without a header.
struct RawTokens {
  Bytes width_bytes = 0;  // of each: 2, 4 or 8
  std::string writer;     // whose files look like this
};

/// By the .idx file of Megatron-LM beside it, else by the values at the file's start, its middle and its end: tokens
/// are small numbers, so wide ones have zeros above. None where they are no tokens.
std::optional<RawTokens> find_raw_tokens(const InputFile& file);

/// The two lines of Python that write X.bin's raw tokens as token files X.tokens.0000.bin, ... beside it.
std::string conversion_of(const std::string& path, const RawTokens& raw);

}  // namespace trireme
