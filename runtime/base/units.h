#pragma once
// Lengths carry their unit in their name (`_bytes`, `_elems`); these aliases say it again in signatures.

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

using Bytes = std::int64_t;
using Elems = std::int64_t;

inline constexpr Bytes KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;

/// a / b rounded up. Needs a >= 0, b > 0.
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The smallest multiple of `step` that is at least `value`.
constexpr std::int64_t align_up(std::int64_t value, std::int64_t step) { return ceil_div(value, step) * step; }

/// "1.50 GiB": two decimals, for people. Exact bytes are printed where a script reads them.
std::string format_bytes(Bytes bytes);

/// "80GiB", "512 MiB", "4096" (bytes). Errors: Error(config) for anything else, and for a negative size.
Bytes parse_bytes(std::string_view text);

}  // namespace trireme
