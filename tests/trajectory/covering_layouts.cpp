#include "tests/trajectory/covering_layouts.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace trireme::test {
namespace {

/// Until it goes, kernels run on `isa`.
class SelectedIsa {
 public:
  explicit SelectedIsa(cpu::Isa isa) { cpu::select_isa(std::max(isa, cpu::detect_isa())); }
  ~SelectedIsa() { cpu::select_isa(cpu::detect_isa()); }
};

Transport parse_transport(const std::string& text) {
  if (text == "in_place") return Transport::in_place;
  if (text == "messages") return Transport::messages;
  require(text == "pairs", ErrorKind::data, "'{}' is no transport; use in_place, messages or pairs", text);
  return Transport::pairs;
}

}  // namespace

std::vector<Layout> covering_layouts() {
  std::ifstream file(TRIREME_COVERING_LAYOUTS);
  require(file.good(), ErrorKind::data, "{} cannot be read", TRIREME_COVERING_LAYOUTS);
  std::vector<Layout> layouts;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    Layout layout;
    std::string recompute, isa, transport;
    std::istringstream(line) >> layout.ranks >> layout.threads >> layout.prefetch >> recompute >> isa >> transport;
    layout.recompute = parse_recompute(recompute);
    layout.isa = cpu::parse_isa(isa);
    layout.transport = parse_transport(transport);
    layouts.push_back(layout);
  }
  return layouts;
}

LocalResult train_laid_out(TrainerSettings settings, const Layout& layout, int steps, int checked_seed,
                           const BatchSource& edit_batch) {
  const SelectedIsa selected(layout.isa);
  settings.threads = layout.threads;
  settings.spec.prefetch = layout.prefetch;
  settings.spec.recompute = layout.recompute;
  return train_locally(settings, {.ranks = layout.ranks, .checked_seed = checked_seed, .edit_batch = edit_batch},
                       steps);
}

}  // namespace trireme::test
