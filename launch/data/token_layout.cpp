#include "launch/data/token_layout.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "launch/data/raw_tokens.h"
#include "runtime/base/error.h"

namespace trireme {
namespace {

using Header = std::array<std::int32_t, 256>;

/// A header that is read, and how wide its tokens are.
struct KnownHeader {
  std::int32_t magic, version;
  Bytes width_bytes;
};
constexpr KnownHeader known_headers[] = {{token_file_magic, 1, 2}, {token_file_magic, 2, 4}, {20240801, 7, 4}};

/// Files of llm.c's that begin alike and hold no tokens to train on.
struct OtherFile {
  std::int32_t magic;
  const char* what;
};
constexpr OtherFile other_files[] = {{20240326, "weights of a GPT-2 model"},
                                     {20240327, "a state to debug with"},
                                     {20240328, "a tokenizer"},
                                     {20240522, "questions of an evaluation"},
                                     {20240527, "the state of an optimizer"},
                                     {20240803, "weights of a Llama-3 model"}};

[[noreturn]] void refuse(const InputFile& file, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("{}: {}", file.path(), what));
}

const KnownHeader* find_magic(std::int32_t magic) {
  const auto* found = std::find_if(std::begin(known_headers), std::end(known_headers),
                                   [&](const KnownHeader& known) { return known.magic == magic; });
  return found == std::end(known_headers) ? nullptr : found;
}

std::int32_t swapped(std::int32_t value) {
  return static_cast<std::int32_t>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
}

bool is_text(const InputFile& file) {
  std::array<unsigned char, 4096> bytes{};
  const Bytes count = std::min<Bytes>(file.size_bytes(), static_cast<Bytes>(bytes.size()));
  file.read(0, bytes.data(), count);
  return std::all_of(bytes.begin(), bytes.begin() + count,
                     [](unsigned char c) { return c >= 32 ? c != 127 : c == '\n' || c == '\r' || c == '\t'; });
}

// No header that is read here: what else may it be?
[[noreturn]] void refuse_unknown(const InputFile& file, std::int32_t magic) {
  if (const LlmcFile other = find_llmc_file(magic); other.what && !other.holds_tokens)
    refuse(file, fmt::format("no token file: llm.c's {} (magic {}); name its token files", other.what, magic));
  if (find_magic(swapped(magic)))
    refuse(file,
           "a token file with the highest byte first, and little-endian is read; swap the bytes of header and tokens");
  const std::string start = file.size_bytes() < token_file_header_bytes
                                ? fmt::format("{} bytes are too few for the header of a token file ({})",
                                              file.size_bytes(), token_file_header_bytes)
                                : fmt::format("starts with {}, not with the header of a token file ({}): no token file",
                                              magic, token_file_magic);
  if (is_text(file)) refuse(file, start + "; it seems to be text, which needs another name than .bin");
  if (const std::optional<RawTokens> raw = find_raw_tokens(file))
    refuse(file,
           fmt::format(
               "{}; it seems to be raw tokens without a header, {} bytes each, as {}; put headers before them and name "
               "the new files in its place:\n{}",
               start, raw->width_bytes, raw->writer, conversion_of(file.path(), *raw)));
  refuse(file,
         start + "; text needs another name than .bin, and tokens are written by trireme tokenize or as llm.c does");
}

// The header says another length than the file has.
[[noreturn]] void refuse_length(const InputFile& file, const TokenLayout& layout) {
  const Bytes held = file.size_bytes() - layout.start_bytes, wanted = layout.tokens * layout.width_bytes;
  std::string why = "it is damaged, write it again";
  if (layout.tokens > 0 && held % layout.tokens == 0 && (held / layout.tokens == 2 || held / layout.tokens == 4))
    why = fmt::format("that is {} bytes a token, and its version says {}: write it again with the version of its width",
                      held / layout.tokens, layout.width_bytes);
  else if (held < wanted)
    why = fmt::format("it was cut short by {} bytes; fetch or write it again", wanted - held);
  refuse(file, fmt::format("the header promises {} tokens ({} bytes), the file has {} bytes; {}", layout.tokens,
                           layout.start_bytes + wanted, file.size_bytes(), why));
}

}  // namespace

LlmcFile find_llmc_file(std::int32_t magic) {
  if (find_magic(magic)) return {"tokens", true};
  for (const OtherFile& other : other_files)
    if (other.magic == magic) return {other.what};
  return {};
}

TokenLayout read_token_layout(const InputFile& file) {
  Header header{};
  file.read(0, header.data(), std::min(file.size_bytes(), token_file_header_bytes));
  const std::int32_t magic = header[0], version = header[1];
  const KnownHeader* known = file.size_bytes() < token_file_header_bytes ? nullptr : find_magic(magic);
  if (!known) refuse_unknown(file, magic);
  while (known != std::end(known_headers) && !(known->magic == magic && known->version == version)) ++known;
  if (known == std::end(known_headers))
    refuse(
        file,
        fmt::format("version {} is none of magic {}'s; 20240520 has 1 (uint16) and 2 (uint32), 20240801 has 7 (uint32)",
                    version, magic));
  const TokenLayout layout{.width_bytes = known->width_bytes,
                           .start_bytes = token_file_header_bytes,
                           .tokens = static_cast<std::uint32_t>(header[2])};
  if (file.size_bytes() != layout.start_bytes + layout.tokens * layout.width_bytes) refuse_length(file, layout);
  return layout;
}

}  // namespace trireme
