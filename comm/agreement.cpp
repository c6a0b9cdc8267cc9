#include "comm/agreement.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <optional>

namespace trireme {
namespace {

constexpr int buckets = Communicator::most_sums;

template <typename T>
T broadcast_value(Communicator& communicator, T value, int root) {
  communicator.broadcast(std::as_writable_bytes(std::span(&value, 1)), root);
  return value;
}

std::string broadcast_text(Communicator& communicator, std::string_view mine, int root) {
  std::string text(communicator.rank() == root ? mine : "");
  text.resize(broadcast_value(communicator, text.size(), root));
  if (!text.empty()) communicator.broadcast(std::as_writable_bytes(std::span(text)), root);
  return text;
}

// The first bucket that any rank names with 0 <= mine < buckets.
std::optional<int> first_bucket(Communicator& communicator, int mine) {
  std::array<std::int64_t, buckets> counts{};
  if (mine >= 0) counts[static_cast<std::size_t>(mine)] = 1;
  communicator.all_reduce(counts);
  const auto found = std::find_if(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; });
  if (found == counts.end()) return std::nullopt;
  return static_cast<int>(found - counts.begin());
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// The lowest rank that says yes, the same answer on all ranks.
std::optional<int> first_rank_where(Communicator& communicator, bool mine) {
  const int width = static_cast<int>(ceil_div(communicator.size(), buckets));
  ensure(width <= buckets, "{} ranks are more than {}", communicator.size(), buckets * buckets);
  const int rank = communicator.rank();
  const std::optional<int> coarse = first_bucket(communicator, mine ? rank / width : -1);
  if (!coarse) return std::nullopt;
  const std::optional<int> fine = first_bucket(communicator, mine && rank / width == *coarse ? rank % width : -1);
  return *coarse * width + *fine;
}

}  // namespace

void agree(Communicator& communicator, std::string_view name, std::string_view text) {
  const XXH128_hash_t mine = XXH3_128bits(text.data(), text.size());
  const XXH128_hash_t first = broadcast_value(communicator, mine, 0);
  const std::optional<int> other = first_rank_where(communicator, !XXH128_isEqual(mine, first));
  if (!other) return;

  const std::string text_0 = broadcast_text(communicator, text, 0);
  const std::string text_other = broadcast_text(communicator, text, *other);
  std::string_view rest_0 = text_0, rest_other = text_other, line_0, line_other;
  int number = 0;
  do {
    line_0 = take_line(rest_0);
    line_other = take_line(rest_other);
    ++number;
  } while (line_0 == line_other && !(rest_0.empty() && rest_other.empty()));
  const std::string place = text_0.find('\n') == std::string::npos ? "" : fmt::format(" line {}:", number);
  throw AgreedError(
      ErrorKind::config,
      fmt::format("the ranks do not agree on {}:{} rank 0 has '{}', rank {} has '{}'; start all ranks with "
                  "the same files and flags",
                  name, place, line_0, *other, line_other));
}

void agree_on_success(Communicator& communicator, const Error* mine) {
  const std::optional<int> failed = first_rank_where(communicator, mine != nullptr);
  if (!failed) return;
  const ErrorKind kind = broadcast_value(communicator, mine ? mine->kind() : ErrorKind::bug, *failed);
  const std::string text = broadcast_text(communicator, mine ? mine->what() : "", *failed);
  const bool alone = first_rank_where(communicator, mine == nullptr || text != mine->what()).has_value();
  throw AgreedError(kind, alone ? fmt::format("rank {}: {}", *failed, text) : text);
}

std::vector<std::string> all_gather(Communicator& communicator, std::string_view text) {
  std::vector<std::string> texts(static_cast<std::size_t>(communicator.size()));
  for (int rank = 0; rank < communicator.size(); ++rank)
    texts[static_cast<std::size_t>(rank)] = broadcast_text(communicator, text, rank);
  return texts;
}

}  // namespace trireme
