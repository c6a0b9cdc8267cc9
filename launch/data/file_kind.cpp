#include "launch/data/file_kind.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "launch/data/file_magic.h"
#include "launch/data/json_head.h"
#include "launch/data/token_layout.h"
#include "runtime/base/error.h"
#include "runtime/base/unfetched_file.h"

namespace trireme {
namespace {

using namespace std::string_view_literals;

constexpr auto no_text = "data needs text, or a .bin token file";
constexpr auto own_files = "write its text, or its token ids, into a text or .bin file first";

bool stands_at(std::string_view head, std::size_t place, std::string_view bytes) {
  return head.size() >= place && head.substr(place).starts_with(bytes);
}

// Little-endian, as all of these are; 0 behind the head.
template <typename T>
T number_at(std::string_view head, std::size_t place) {
  T number = 0;
  if (head.size() >= place + sizeof number) std::memcpy(&number, head.data() + place, sizeof number);
  return number;
}

std::optional<FileKind> by_magic(std::string_view head) {
  for (const FileMagic& magic : file_magics())
    if (head.starts_with(magic.bytes) && stands_at(head, magic.second_at, magic.second))
      return FileKind{std::string(magic.name), std::string(magic.advice)};
  return std::nullopt;
}

std::optional<FileKind> pointer(std::string_view head) {
  const std::optional<FilePointer> found = pointer_kind(head);
  if (!found) return std::nullopt;
  return FileKind{std::string(found->name), std::string(found->advice)};
}

// Any of sixteen numbers may say that the first frame is to be skipped.
std::optional<FileKind> skippable_frame(std::string_view head) {
  if (head.empty() || (head[0] & 0xf0) != 0x50 || !stands_at(head, 1, "\x2a\x4d\x18"sv)) return std::nullopt;
  return FileKind{"zstd", "unzstd it first"};
}

// "x^" and "x\xda" may begin a text, without the bytes that compressed ones hold.
std::optional<FileKind> zlib(std::string_view head) {
  const std::string_view behind = head.substr(0, 256);
  const auto is_control = [](char c) { return (c >= 0 && c < 9) || (c > 13 && c < 27) || c == 127; };
  if (!(head.starts_with("x\x5e"sv) || head.starts_with("x\xda"sv)) ||
      std::none_of(behind.begin(), behind.end(), is_control))
    return std::nullopt;
  return FileKind{"zlib", "inflate it first, for example with zlib-flate -uncompress"};
}

// Before POSIX a header had no magic: octal digits say the sum of its bytes, with blanks in their own place.
std::optional<FileKind> old_tar(std::string_view head) {
  constexpr std::size_t header_bytes = 512, sum_at = 148, sum_bytes = 8;
  if (head.size() < header_bytes) return std::nullopt;
  unsigned sum = sum_bytes * ' ', said = 0;
  for (std::size_t i = 0; i < header_bytes; ++i)
    if (i < sum_at || i >= sum_at + sum_bytes) sum += static_cast<unsigned char>(head[i]);
  for (const char c : head.substr(sum_at, sum_bytes))
    if (c >= '0' && c <= '7')
      said = said * 8 + static_cast<unsigned>(c - '0');
    else if (c != ' ' && c != '\0')
      return std::nullopt;
  if (said != sum) return std::nullopt;
  return FileKind{"tar", "untar it first"};
}

// By the name of its first file.
std::optional<FileKind> zip(std::string_view head) {
  if (head.starts_with("PK\5\6"sv) || head.starts_with("PK\7\x08"sv)) return FileKind{"zip", "unzip it first"};
  if (!head.starts_with("PK\3\4"sv)) return std::nullopt;
  const std::string_view name = head.substr(std::min<std::size_t>(30, head.size()), number_at<std::uint16_t>(head, 26));
  if (name.ends_with(".npy")) return FileKind{"npz (NumPy arrays)", own_files};
  if (name.ends_with("/data.pkl") || name.ends_with("/.format_version")) return FileKind{"a PyTorch file", own_files};
  if (name == "[Content_Types].xml" || name.starts_with("_rels/") || name.starts_with("word/"))
    return FileKind{"an Office document (docx, xlsx or pptx)", "save it as plain text first"};
  if (name == "mimetype") return FileKind{"an OpenDocument or EPUB file", "save it as plain text first"};
  return FileKind{"zip", "unzip it first"};
}

// Protocols 2 to 5, with an opcode that pickles start with.
std::optional<FileKind> pickle(std::string_view head) {
  if (head.size() < 3 || head[0] != '\x80' || head[1] < 2 || head[1] > 5) return std::nullopt;
  if ("}]()cXNKJUC\x95\x8a\x8c"sv.find(head[2]) == std::string_view::npos) return std::nullopt;
  const bool is_pytorch = stands_at(head, 2, "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv);
  return FileKind{is_pytorch ? "a PyTorch file" : "a Python pickle", own_files};
}

// The length of a header of JSON, and that header.
std::optional<FileKind> safetensors(std::string_view head, Bytes file_bytes) {
  const auto length = number_at<std::uint64_t>(head, 0);
  if (length < 2 || length + 8 > static_cast<std::uint64_t>(file_bytes) || !stands_at(head, 8, "{"sv))
    return std::nullopt;
  return FileKind{"safetensors", "a model is given by model.hf; data needs text, or a .bin token file"};
}

// A protocol buffer whose first field is a piece: its text and, as a float, its score.
std::optional<FileKind> sentencepiece(std::string_view head) {
  if (head.size() < 4 || head[0] != '\n' || head[2] != '\n') return std::nullopt;
  const auto field = static_cast<unsigned char>(head[1]), text = static_cast<unsigned char>(head[3]);
  if (field < text + 7 || !stands_at(head, std::size_t{4} + text, "\x15"sv)) return std::nullopt;
  return FileKind{"a SentencePiece model",
                  "it is a tokenizer: give the text, or the .bin token file that it made of it"};
}

std::optional<FileKind> bitmap(std::string_view head, Bytes file_bytes) {
  if (!head.starts_with("BM") || number_at<std::uint32_t>(head, 2) != file_bytes) return std::nullopt;
  return FileKind{"a BMP picture", no_text};
}

// Names itself by three letters alone; no text holds the low bytes behind them.
std::optional<FileKind> orc(std::string_view head) {
  const std::string_view behind = head.substr(0, 64);
  if (!head.starts_with("ORC") || std::none_of(behind.begin(), behind.end(), [](char c) { return c >= 0 && c < 9; }))
    return std::nullopt;
  return FileKind{"ORC", own_files};
}

std::optional<FileKind> token_file(std::string_view head) {
  const LlmcFile found = find_llmc_file(number_at<std::int32_t>(head, 0));
  if (!found.what) return std::nullopt;
  if (found.holds_tokens) return FileKind{"a token file", "give it a name that ends in .bin"};
  return FileKind{fmt::format("{} (llm.c)", found.what), no_text};
}

// By marks, and without them by where zeros stand: one byte of many characters is zero, nearly always the same one.
std::optional<FileKind> wide_text(std::string_view head) {
  const FileKind wide16 = {"UTF-16 text, or raw 16-bit token ids",
                           "convert text with iconv -f UTF-16 -t UTF-8; ids belong into a .bin token file"};
  const FileKind wide32 = {"UTF-32 text, or raw 32-bit token ids",
                           "convert text with iconv -f UTF-32 -t UTF-8; ids belong into a .bin token file"};
  if (head.starts_with("\xff\xfe\0\0"sv) || head.starts_with("\0\0\xfe\xff"sv)) return wide32;
  if (head.starts_with("\xff\xfe"sv) || head.starts_with("\xfe\xff"sv)) return wide16;
  std::array<std::size_t, 4> zeros{};  // by place in a group of four
  for (std::size_t i = 0; i < head.size(); ++i) zeros[i % 4] += head[i] == '\0';
  const std::size_t groups = head.size() / 4;
  const auto wide = [&](std::size_t low, std::size_t high, std::size_t highest) {
    return groups >= 3 && 2 * zeros[low] < groups && zeros[high] >= groups && zeros[highest] >= groups;
  };
  if (wide(0, 2, 3) || wide(3, 1, 0)) return wide32;
  // Characters like U+4E00 have the other zero; texts that zeros cut into documents have as many of both.
  const auto [fewer, more] = std::minmax({zeros[0] + zeros[2], zeros[1] + zeros[3]});
  if (more >= 8 && more * 16 >= head.size() && fewer * 8 <= more) return wide16;
  return std::nullopt;
}

std::optional<FileKind> json(std::string_view head) {
  const std::string advice =
      "write the text of its fields into a text file first, for example with jq -r .text; to train on the JSON itself, "
      "let the file start with a line of text";
  const std::optional<JsonHead> found = json_head(head);
  if (!found) return std::nullopt;
  return FileKind{*found == JsonHead::lines ? "JSON lines" : "JSON", advice};
}

}  // namespace

std::optional<FileKind> foreign_kind(std::string_view head, Bytes file_bytes, ReadAs read_as) {
  for (const auto& kind :
       {by_magic(head), pointer(head), skippable_frame(head), zlib(head), old_tar(head), zip(head), pickle(head),
        safetensors(head, file_bytes), sentencepiece(head), bitmap(head, file_bytes), orc(head)})
    if (kind) return kind;
  const std::string_view text = has_utf8_mark(head) ? head.substr(3) : head;
  if (const auto kind = json(text)) return kind;
  if (read_as == ReadAs::tokens) return std::nullopt;
  if (const auto kind = token_file(head)) return kind;
  return wide_text(head);
}

void refuse_foreign(const InputFile& file, ReadAs read_as) {
  std::string head(static_cast<std::size_t>(std::min(file.size_bytes(), file_head_bytes)), '\0');
  file.read(0, head.data(), static_cast<Bytes>(head.size()));
  const std::optional<FileKind> kind = foreign_kind(head, file.size_bytes(), read_as);
  if (!kind) return;
  throw Error(ErrorKind::data, fmt::format("{}: its first bytes say {}, not {}; {}", file.path(), kind->name,
                                           read_as == ReadAs::text ? "text" : "a token file", kind->advice));
}

bool has_utf8_mark(std::string_view head) { return head.starts_with("\xef\xbb\xbf"sv); }

}  // namespace trireme
