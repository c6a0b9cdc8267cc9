#pragma once
// From a printed name back to its enumerator, for enums whose names are said by name().

#include <optional>
#include <string_view>

namespace trireme {

/// The enumerator of the first `count` that has this name, if any.
template <typename Enum>
std::optional<Enum> find_by_name(std::string_view text, int count) {
  for (int i = 0; i < count; ++i)
    if (text == name(static_cast<Enum>(i))) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace trireme
