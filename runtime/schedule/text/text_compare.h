#pragma once
// Two programs that should be one.

#include <optional>
#include <string>
#include <string_view>

namespace trireme {

/// The first line in which two texts of print() differ, from both, whatever the width of their columns; nothing where
/// they are equal. `given` and `expected`: how the message calls them.
std::optional<std::string> first_difference(std::string_view given_text, std::string_view expected_text,
                                            std::string_view given = "given", std::string_view expected = "expected");

}  // namespace trireme
