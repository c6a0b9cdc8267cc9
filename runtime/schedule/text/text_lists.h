#pragma once
// Lists of ranks in one word: "0,1,2", "0-7", "0:8,1:9", "0-7:8-15" (ranks 0 to 7 with microbatches 8 to 15), "none".

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/schedule/op.h"

namespace trireme::text {

/// The one way to write a list; equal texts mean equal lists.
std::string print_list(const std::vector<Contribution>& list);
std::string print_list(const std::vector<int>& ranks);

/// The inverse; nothing for a text that is no list of ranks below `world`.
std::optional<std::vector<Contribution>> parse_list(std::string_view text, int world);

/// A number from 0 to `most`; nothing for any other text.
std::optional<std::int64_t> parse_number(std::string_view text, std::int64_t most, int base = 10);

/// The parts of a text between the marks; at least one, maybe empty.
std::vector<std::string_view> split(std::string_view text, char mark);

/// The fields of a line of a table, which blanks are between.
std::vector<std::string_view> split_blanks(std::string_view line);

}  // namespace trireme::text
