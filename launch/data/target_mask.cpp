#include "launch/data/target_mask.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "runtime/base/error.h"
#include "runtime/base/unfetched_file.h"

namespace trireme {
namespace {

// Small enough for the stack of any thread.
constexpr std::size_t piece_bytes = 4096;

// Calls use(first token, its bytes) for tokens [first, first + count).
template <typename Use>
void for_each_piece(const InputFile& file, std::int64_t first, std::int64_t count, Use use) {
  std::array<std::uint8_t, piece_bytes> piece;
  for (const std::int64_t end = first + count; first < end;) {
    const auto size = static_cast<std::size_t>(std::min<std::int64_t>(piece_bytes, end - first));
    file.read(first, piece.data(), static_cast<Bytes>(size));
    use(first, std::span<const std::uint8_t>(piece.data(), size));
    first += static_cast<std::int64_t>(size);
  }
}

}  // namespace

std::optional<TargetMask> TargetMask::beside(const std::string& path, std::int64_t tokens) {
  const std::string name = std::filesystem::path(path).replace_extension(".mask").string();
  // A link that leads nowhere is a mask that cannot be read.
  if (!is_there(name)) return std::nullopt;
  TargetMask mask{open_fetched(name)};
  require(mask.file_.size_bytes() == tokens, ErrorKind::data,
          "{}: {} bytes for the {} tokens of {}: a mask has a byte for each; "
          "write it again, or rename it",
          name, mask.file_.size_bytes(), tokens, path);
  return mask;
}

void TargetMask::apply(std::int64_t first, std::span<std::int32_t> targets) const {
  for_each_piece(file_, first, static_cast<std::int64_t>(targets.size()),
                 [&](std::int64_t at, std::span<const std::uint8_t> bytes) {
                   for (std::size_t i = 0; i < bytes.size(); ++i)
                     if (bytes[i] == 0) targets[static_cast<std::size_t>(at - first) + i] = ignored_target;
                 });
}

TargetMask::Summary TargetMask::summarize() const {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  Summary summary;
  for_each_piece(file_, 0, file_.size_bytes(), [&](std::int64_t at, std::span<const std::uint8_t> bytes) {
    XXH3_64bits_update(state.get(), bytes.data(), bytes.size());
    const auto bad = std::find_if(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte > 1; });
    require(bad == bytes.end(), ErrorKind::data,
            "{}: byte {} is {}; a mask has 1 for a token that counts as a target and 0 for "
            "one that does not",
            file_.path(), at + (bad - bytes.begin()), bad == bytes.end() ? 0 : *bad);
    summary.counted += std::count(bytes.begin(), bytes.end(), 1);
  });
  summary.hash = XXH3_64bits_digest(state.get());
  return summary;
}

}  // namespace trireme
