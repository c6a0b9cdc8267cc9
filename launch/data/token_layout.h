#pragma once
// Where the tokens of a .bin file lie: the layouts with a header, and what files without one seem to be.

#include <cstdint>

#include "runtime/base/input_file.h"

namespace trireme {

/// 256 int32 of header (magic, version, token count, zeros), then the tokens, little-endian: llm.c's files.
inline constexpr std::int32_t token_file_magic = 20240520;
inline constexpr Bytes token_file_header_bytes = 256 * 4;

struct TokenLayout {
  Bytes width_bytes = 1, start_bytes = 0;  // of a token; of the first one
  std::int64_t tokens = 0;
};

/// By the file's header: magic 20240520 with version 1 (uint16) or 2 (uint32), or 20240801 with version 7 (uint32,
/// llm.c's Llama-3 tokens).
///
/// Errors  Error(data) with what the file seems to be and what to do: raw tokens without a header (nanoGPT's,
/// Megatron-LM's
///         beside its .idx, torch's), text, another file of llm.c's, another byte order, cut short, of another width.
TokenLayout read_token_layout(const InputFile& file);

/// What a file that starts with `magic` is of those with a header like llm.c's.
struct LlmcFile {
  const char* what = nullptr;  // nullptr: none of them
  bool holds_tokens = false;
};
LlmcFile find_llmc_file(std::int32_t magic);

}  // namespace trireme
