#pragma once

#include <span>
#include <string>

namespace trireme {

/// "sample:" and the text of `tokens`: a byte each. Tokens of 256 and more are no bytes: they are shown as <id>, which
/// the first line says.
std::string print_sample(std::span<const int> tokens);

}  // namespace trireme
