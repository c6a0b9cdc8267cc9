#include "runtime/schedule/text/text_lists.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <limits>
#include <utility>

#include "runtime/schedule/text/text_columns.h"

namespace trireme::text {
namespace {

// Shorter runs of ranks are listed one by one.
constexpr std::size_t shortest_run = 4;
// A list may not be longer than this, whatever a damaged text claims.
constexpr std::size_t longest_list = 1 << 20;

bool follows(const Contribution& a, const Contribution& b) {
  return b.rank == a.rank + 1 && a.microbatch.has_value() == b.microbatch.has_value() &&
         (!a.microbatch || *b.microbatch == *a.microbatch + 1);
}

struct Run {
  int first = 0, last = 0;
  int length() const { return last - first + 1; }
};

// "3" or "3-7".
std::optional<Run> parse_run(std::string_view text, std::int64_t most) {
  const std::vector<std::string_view> ends = split(text, '-');
  const auto first = parse_number(ends.front(), most), last = parse_number(ends.back(), most);
  if (ends.size() > 2 || !first || !last || *last < *first || *last - *first >= std::int64_t{longest_list})
    return std::nullopt;
  return Run{static_cast<int>(*first), static_cast<int>(*last)};
}

// One item between commas. False where it is none.
bool parse_item(std::string_view item, int world, std::vector<Contribution>& list) {
  const std::vector<std::string_view> sides = split(item, ':');
  if (sides.size() > 2) return false;
  const auto ranks = parse_run(sides[0], std::int64_t{world} - 1);
  if (!ranks || list.size() + static_cast<std::size_t>(ranks->length()) > longest_list) return false;
  std::optional<Run> microbatches;
  if (sides.size() == 2) {
    microbatches = parse_run(sides[1], std::numeric_limits<int>::max());
    if (!microbatches || microbatches->length() != ranks->length()) return false;
  }
  for (int i = 0; i < ranks->length(); ++i) {
    list.push_back({ranks->first + i, {}});
    if (microbatches) list.back().microbatch = microbatches->first + i;
  }
  return true;
}

}  // namespace

std::string print_list(const std::vector<Contribution>& list) {
  if (list.empty()) return std::string(nobody);
  std::string text;
  for (std::size_t i = 0; i < list.size();) {
    std::size_t end = i + 1;
    while (end < list.size() && follows(list[end - 1], list[end])) ++end;
    if (end - i < shortest_run) end = i + 1;
    const Contribution &first = list[i], &last = list[end - 1];
    const auto put = [&](const char* mark, int a, int b) {
      const auto out = std::back_inserter(text);
      end == i + 1 ? fmt::format_to(out, "{}{}", mark, a) : fmt::format_to(out, "{}{}-{}", mark, a, b);
    };
    put(i > 0 ? "," : "", first.rank, last.rank);
    if (first.microbatch) put(":", *first.microbatch, *last.microbatch);
    i = end;
  }
  return text;
}

std::string print_list(const std::vector<int>& ranks) {
  std::vector<Contribution> list;
  for (int rank : ranks) list.push_back({rank, {}});
  return print_list(list);
}

std::optional<std::vector<Contribution>> parse_list(std::string_view text, int world) {
  std::vector<Contribution> list;
  if (text == nobody) return list;
  for (std::string_view item : split(text, ','))
    if (!parse_item(item, world, list)) return std::nullopt;
  return list;
}

std::optional<std::int64_t> parse_number(std::string_view text, std::int64_t most, int base) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || status != std::errc() || rest != end || value < 0 || value > most) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char mark) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(mark);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> split_blanks(std::string_view line) {
  constexpr std::string_view blanks = " \t\r";
  std::vector<std::string_view> fields;
  for (std::size_t begin = line.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(blanks, begin), line.size());
    fields.push_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(blanks, end);
  }
  return fields;
}

}  // namespace trireme::text
