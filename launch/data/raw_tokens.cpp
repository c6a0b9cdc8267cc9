#include "launch/data/raw_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <vector>

#include "launch/data/token_layout.h"
#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr std::uint64_t largest_vocabulary = 1 << 20;
constexpr Bytes sample_bytes = 64 * KiB;

// Types of Megatron-LM's index, by their code: bytes of a token. 0: no whole numbers, or too narrow.
constexpr std::array<Bytes, 9> index_width = {0, 1, 1, 2, 4, 8, 0, 0, 2};

// The .idx beside it: 9 bytes of magic, 8 of version, 1 of type.
std::optional<RawTokens> by_index(const std::string& path) {
  const std::string name = std::filesystem::path(path).replace_extension(".idx").string();
  std::error_code failed;
  if (!std::filesystem::is_regular_file(name, failed)) return std::nullopt;
  const InputFile index(name);
  std::array<unsigned char, 18> head{};
  if (index.size_bytes() < static_cast<Bytes>(head.size())) return std::nullopt;
  index.read(0, head.data(), static_cast<Bytes>(head.size()));
  if (std::memcmp(head.data(), "MMIDIDX\0", 8) != 0 || head[17] >= index_width.size()) return std::nullopt;
  if (index_width[head[17]] < 2) return std::nullopt;
  return RawTokens{index_width[head[17]], "Megatron-LM writes them (" + name + " says so)"};
}

template <typename Integer>
bool all_tokens(const std::vector<char>& bytes) {
  for (std::size_t at = 0; at + sizeof(Integer) <= bytes.size(); at += sizeof(Integer)) {
    Integer value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    if (value >= largest_vocabulary) return false;
  }
  return true;
}

// Frequent tokens have small numbers. Of what is compressed or random a quarter lies in the highest quarter.
bool are_narrow_tokens(const std::vector<char>& bytes) {
  std::size_t high = 0;
  for (std::size_t at = 1; at < bytes.size(); at += 2) high += static_cast<unsigned char>(bytes[at]) >= 0xC0;
  return high * 2 * 100 < bytes.size() * 15;
}

// From the start, the middle and the end; each piece begins at a multiple of eight bytes.
std::vector<char> sample(const InputFile& file) {
  const Bytes size = file.size_bytes(), piece = std::min(size, sample_bytes);
  std::vector<char> bytes;
  for (const Bytes place : {Bytes{0}, (size - piece) / 2, size - piece}) {
    const Bytes from = place / 8 * 8, had = static_cast<Bytes>(bytes.size());
    bytes.resize(static_cast<std::size_t>(had + piece / 8 * 8));
    file.read(from, bytes.data() + had, piece / 8 * 8);
  }
  return bytes;
}

std::string quoted(const std::string& path) {
  std::string text = "'";
  for (const char c : path) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::optional<RawTokens> find_raw_tokens(const InputFile& file) {
  if (std::optional<RawTokens> raw = by_index(file.path())) return raw;
  const Bytes size = file.size_bytes();
  if (size < 8) return std::nullopt;
  const std::vector<char> bytes = sample(file);
  const bool zeros = std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
  if (zeros) return std::nullopt;
  if (size % 8 == 0 && all_tokens<std::uint64_t>(bytes)) return RawTokens{8, "numpy and torch write them"};
  if (size % 4 == 0 && all_tokens<std::uint32_t>(bytes)) return RawTokens{4, "Megatron-LM and numpy write them"};
  if (size % 2 == 0 && are_narrow_tokens(bytes)) return RawTokens{2, "nanoGPT writes them"};
  return std::nullopt;
}

std::string conversion_of(const std::string& path, const RawTokens& raw) {
  const std::string stem = std::filesystem::path(path).replace_extension("").string();
  // Pieces of 2^29 bytes: a header counts to 2^31 tokens. What is eight bytes wide becomes four.
  const char* piece = raw.width_bytes == 8 ? "array.array('I',array.array('q',d)).tobytes()" : "d";
  return fmt::format(
      "python3 -c \"import array,struct,sys; f,s=open(sys.argv[1],'rb'),sys.argv[2]\n"
      "for n,d in enumerate(iter(lambda: f.read(1<<29),b'')): open(f'{{s}}.{{n:04}}.bin','wb').write("
      "struct.pack('<256i',{},{},len(d)//{},*[0]*253)+{})\" {} {}",
      token_file_magic, raw.width_bytes == 2 ? 1 : 2, raw.width_bytes, piece, quoted(path), quoted(stem + ".tokens"));
}

}  // namespace trireme
