#include "launch/train/step_guard.h"

#include <vector>

#include "launch/train/audit_report.h"

namespace trireme {

std::optional<std::string> audit_together(Trainer& trainer, int audited_ranks) {
  std::vector<std::string> all = trainer.gather_text(trainer.audit());
  all.resize(static_cast<std::size_t>(audited_ranks));
  return audit_verdict(all);
}

std::string diagnose_together(Trainer& trainer, std::int64_t step) {
  const Diagnosis own = trainer.diagnose(step);
  const std::vector<std::string> all = trainer.gather_text(own.op < 0 ? "" : fmt::format("{} {}", own.op, own.text));
  std::int64_t first = -1;
  std::string words;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].empty()) continue;
    const std::size_t space = all[rank].find(' ');
    const std::int64_t op = std::stoll(all[rank].substr(0, space));
    if (first >= 0 && op >= first) continue;
    first = op;
    words = fmt::format("{}, on rank {}", all[rank].substr(space + 1), rank);
  }
  if (first < 0) return "a second run of the step is finite: what happened does not last; suspect the machine";
  return "first not finite: " + words;
}

}  // namespace trireme
