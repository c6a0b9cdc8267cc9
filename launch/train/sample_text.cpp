#include "launch/train/sample_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace trireme {

std::string print_sample(std::span<const int> tokens) {
  const auto is_byte = [](int token) { return token < 256; };
  std::string text = std::all_of(tokens.begin(), tokens.end(), is_byte)
                         ? "sample:\n"
                         : "sample (tokens of 256 and more are no bytes and stand as <id>):\n";
  for (const int token : tokens)
    text += is_byte(token) ? std::string(1, static_cast<char>(token)) : fmt::format("<{}>", token);
  return text;
}

}  // namespace trireme
