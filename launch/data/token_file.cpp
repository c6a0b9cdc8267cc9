#include "launch/data/token_file.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>

#include "launch/data/file_kind.h"
#include "runtime/base/error.h"
#include "runtime/base/file_lock.h"
#include "runtime/base/system_call.h"
#include "runtime/base/unfetched_file.h"

namespace trireme {
namespace {

constexpr Bytes buffer_bytes = 256 * KiB;

template <typename Raw>
void widen(const void* raw, std::span<std::int32_t> out) {
  const auto* values = static_cast<const Raw*>(raw);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::int32_t>(values[i]);
}

void widen(Bytes width, const void* raw, std::span<std::int32_t> out) {
  if (width == 1)
    widen<std::uint8_t>(raw, out);
  else if (width == 2)
    widen<std::uint16_t>(raw, out);
  else
    widen<std::uint32_t>(raw, out);
}

std::string temporary_name(const std::string& path) { return path + ".part"; }

/// A file that is there whole or not at all. Two that are written at once to one path do not mix: the second is
/// refused.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_(std::move(path)), temporary_(temporary_name(path_)), lock_(temporary_) {
    check(SystemCall::returned(lock_.error().value()), "cannot be created");
    require(lock_.state() != FileLock::State::busy, ErrorKind::data,
            "{}: another process writes it now; wait for its end or choose another output", path_);
    const SystemCall emptied(::ftruncate(lock_.descriptor(), 0));
    if (emptied.error() != EINVAL) check(emptied, "cannot be emptied");  // a device has nothing to empty
  }
  ~NewFile() {
    if (!kept_ && lock_.state() != FileLock::State::busy) ::unlink(temporary_.c_str());
  }
  void write(const void* data, Bytes bytes) {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const SystemCall put(::write(lock_.descriptor(), at, static_cast<std::size_t>(bytes)));
      if (put.error() == EINTR) continue;
      check(put, "cannot be written");
      at += put.result(), bytes -= put.result();
    }
  }
  void keep() {
    check(SystemCall(::fsync(lock_.descriptor())), "cannot be flushed to disk");
    check(SystemCall(::rename(temporary_.c_str(), path_.c_str())), "cannot be renamed into place");
    kept_ = true;
  }

 private:
  void check(const SystemCall& call, const char* what) const {
    require(call.succeeded(), ErrorKind::data, "{} {}: {}{}", path_, what, call.reason(), call.place_advice());
  }
  std::string path_, temporary_;
  FileLock lock_;
  bool kept_ = false;
};

}  // namespace

bool names_token_file(const std::string& path) { return std::filesystem::path(path).extension() == ".bin"; }

TokenFile::TokenFile(const std::string& path) : file_(open_fetched(path)) {
  require(file_.size_bytes() > 0, ErrorKind::data, "{}: the file is empty", path);
  refuse_foreign(file_, names_token_file(path) ? ReadAs::tokens : ReadAs::text);
  layout_ = names_token_file(path) ? read_token_layout(file_) : TokenLayout{.tokens = file_.size_bytes()};
}

void TokenFile::read(std::int64_t first, std::span<std::int32_t> out) const {
  // Raw tokens are never wider than int32: they are read into the end of `out` and widened towards its start.
  const Bytes width = layout_.width_bytes;
  auto* raw = reinterpret_cast<char*>(out.data()) + static_cast<Bytes>(out.size()) * (4 - width);
  file_.read(layout_.start_bytes + first * width, raw, static_cast<Bytes>(out.size()) * width);
  widen(width, raw, out);
}

TokenFile::Summary TokenFile::summarize(std::optional<std::int32_t> counted) const {
  const auto buffer = std::make_unique<std::int32_t[]>(static_cast<std::size_t>(buffer_bytes) / 4);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  Summary summary;
  for (std::int64_t first = 0; first < tokens();) {
    const std::span<std::int32_t> part(
        buffer.get(), static_cast<std::size_t>(std::min<std::int64_t>(buffer_bytes / 4, tokens() - first)));
    read(first, part);
    XXH3_64bits_update(state.get(), part.data(), part.size_bytes());
    for (std::int32_t token : part)
      summary.largest = std::max<std::int64_t>(summary.largest, static_cast<std::uint32_t>(token));
    if (counted) summary.count += std::count(part.begin(), part.end(), *counted);
    first += static_cast<std::int64_t>(part.size());
  }
  summary.hash = XXH3_64bits_digest(state.get());
  return summary;
}

namespace {

// What would read its own output, or be read as something else later.
void check_names(const std::string& path, std::span<const std::string> text_files) {
  require(names_token_file(path), ErrorKind::config,
          "{}: a token file's name must end in .bin, or it would be read as text; "
          "write -o {}.bin",
          path, path);
  for (const std::string& text : text_files) {
    require(!names_token_file(text), ErrorKind::config,
            "{}: is a token file by its name, and tokenize reads text; rename it if "
            "it is text",
            text);
    for (const std::string& written : {path, temporary_name(path)}) {
      std::error_code missing;
      require(!std::filesystem::equivalent(text, written, missing), ErrorKind::data,
              "{}: is the same file as {}, which would be "
              "overwritten; choose another output",
              text, written);
    }
  }
}

}  // namespace

void write_token_file(const std::string& path, std::span<const std::string> text_files) {
  check_names(path, text_files);
  std::vector<TokenFile> files;
  std::int64_t tokens = 0;
  for (const std::string& text : text_files) tokens += files.emplace_back(text).tokens();
  require(tokens < 2147483648LL, ErrorKind::data,
          "{}: {} tokens are more than one token file holds (2^31 - 1); split it", path, tokens);
  NewFile out(path);
  std::array<std::int32_t, 256> header{token_file_magic, 1, static_cast<std::int32_t>(tokens)};
  out.write(header.data(), token_file_header_bytes);
  std::vector<std::int32_t> wide(static_cast<std::size_t>(buffer_bytes) / 4);
  std::vector<std::uint16_t> narrow(wide.size());
  for (const TokenFile& file : files)
    for (std::int64_t first = 0; first < file.tokens();) {
      const auto count = static_cast<std::size_t>(
          std::min<std::int64_t>(static_cast<std::int64_t>(wide.size()), file.tokens() - first));
      file.read(first, {wide.data(), count});
      std::copy_n(wide.begin(), count, narrow.begin());
      out.write(narrow.data(), static_cast<Bytes>(count) * 2);
      first += static_cast<std::int64_t>(count);
    }
  out.keep();
}

}  // namespace trireme
