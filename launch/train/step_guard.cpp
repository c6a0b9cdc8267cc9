#include "launch/train/step_guard.h"

#include <cstddef>
#include <vector>

#include "comm/agreement.h"
#include "launch/train/audit_report.h"

namespace trireme {

std::optional<std::string> audit_together(Trainer& trainer, int audited_ranks) {
  const std::string own = trainer.audit();
  std::vector<std::string> all =
      trainer.runner().over_ranks([&](Communicator& ranks) { return all_gather(ranks, own); });
  all.resize(static_cast<std::size_t>(audited_ranks));
  return audit_verdict(all);
}

std::string diagnose_together(Trainer& trainer, std::int64_t step) {
  const Diagnosis own = trainer.diagnose(step);
  std::vector<std::string> texts;
  const std::vector<std::int64_t> ops = trainer.runner().over_ranks([&](Communicator& ranks) {
    texts = all_gather(ranks, own.text);
    return all_gather(ranks, own.op);
  });
  std::optional<std::size_t> first;  // the lowest rank with the first op
  for (std::size_t rank = 0; rank < ops.size(); ++rank)
    if (ops[rank] >= 0 && (!first || ops[rank] < ops[*first])) first = rank;
  if (!first) return "a second run of the step is finite: what happened does not last; suspect the machine";
  return fmt::format("first not finite: {}, on rank {}", texts[*first], *first);
}

}  // namespace trireme
