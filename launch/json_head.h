#pragma once

#include <optional>
#include <string_view>

namespace trireme {

enum class JsonHead { lines, document };

/// Whether a text whose first bytes are `head` is JSON that has keys: what stands before its first line break is an
/// object (lines), or it is a value over several lines, whole or up to the end of `head` (document). Prose that starts
/// with a brace or a bracket is neither, nor is JSON behind an empty line.
std::optional<JsonHead> json_head(std::string_view head);

}  // namespace trireme
