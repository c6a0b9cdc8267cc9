#pragma once

#include <optional>
#include <string_view>

namespace trireme {

enum class JsonHead { lines, document };

/// Whether a text whose first bytes are `head` is JSON: an object with keys on its first line (lines), or such a value
/// over several, whole or up to the end of `head`, or a list of values and nothing else (document). Prose that starts
/// with a brace or a bracket is neither, nor is JSON behind an empty line.
std::optional<JsonHead> json_head(std::string_view head);

}  // namespace trireme
