#pragma once

#include <optional>
#include <string_view>

namespace trireme {

enum class JsonHead { lines, document };

/// Whether a text whose first bytes are `head` is JSON, as Python's json writes it (with NaN and Infinity), behind
/// blanks and empty lines: an object with keys on its first line (lines), or such a value over several, whole or up to
/// the end of `head`, or a list of values and nothing else (document), or lists on its first two lines (lines). Prose
/// that starts with a brace or a bracket is neither.
std::optional<JsonHead> json_head(std::string_view head);

}  // namespace trireme
