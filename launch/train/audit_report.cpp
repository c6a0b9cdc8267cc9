#include "launch/train/audit_report.h"

#include <fmt/format.h>

namespace trireme {
namespace {

// Why rank `to` is to blame for the mismatch that rank `by` found; empty where that cannot be said.
std::string blame(std::span<const std::string> differs, std::size_t by, std::size_t to) {
  const std::size_t ranks = differs.size();
  const auto audited = [&](std::size_t rank) { return !differs[(rank + ranks - 1) % ranks].empty(); };
  if (ranks == 1) return "rank 0 computed other gradients the second time";
  if (ranks < 3) return "";
  if (!differs[to].empty()) return fmt::format("rank {} is in two mismatches", to);
  if (audited(by)) return fmt::format("rank {} is in two mismatches", by);
  return fmt::format("rank {} is to blame: the gradients of rank {} agree with their replay", to, by);
}

}  // namespace

std::optional<std::string> audit_verdict(std::span<const std::string> differs) {
  std::string text;
  for (std::size_t by = 0; by < differs.size(); ++by) {
    if (differs[by].empty()) continue;
    const std::size_t to = (by + 1) % differs.size();
    const std::string why = blame(differs, by, to);
    text += fmt::format("{}gradients of {} by rank {} differ from their replay by rank {}{}", text.empty() ? "" : "; ",
                        differs[by], to, by, why.empty() ? "" : ": " + why);
  }
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace trireme
