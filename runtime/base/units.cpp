#include "runtime/base/units.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "runtime/base/error.h"

namespace trireme {

std::string format_bytes(Bytes bytes) {
  if (bytes < KiB) return fmt::format("{} B", bytes);
  if (bytes < MiB) return fmt::format("{:.2f} KiB", static_cast<double>(bytes) / KiB);
  if (bytes < GiB) return fmt::format("{:.2f} MiB", static_cast<double>(bytes) / MiB);
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / GiB);
}

Bytes parse_bytes(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  auto [rest, status] = std::from_chars(text.data(), end, number);
  while (rest != end && *rest == ' ') ++rest;
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  const double scale = unit.empty() || unit == "B" ? 1
                       : unit == "KiB"             ? KiB
                       : unit == "MiB"             ? MiB
                       : unit == "GiB"             ? GiB
                       : unit == "TiB"             ? 1024.0 * GiB
                                                   : 0;
  const bool valid = status == std::errc() && scale > 0 && number >= 0 && number * scale < 9e18;
  require(valid, ErrorKind::config, "'{}' is not a size; write for example 80GiB, 512MiB or 4096 (bytes)", text);
  return static_cast<Bytes>(std::llround(number * scale));
}

}  // namespace trireme
