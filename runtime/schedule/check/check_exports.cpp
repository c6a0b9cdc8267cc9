#include "runtime/schedule/check/check_exports.h"

#include <fmt/format.h>

#include "runtime/schedule/op_kinds.h"

namespace trireme::checking {

Found Exports::visit(OpId op, std::size_t run) {
  const Op& x = sequence_.op(op);
  const bool exposes = is_collective(x.kind);
  if (exposes || x.kind == OpKind::release)
    for (BufferId b : x.reads()) {
      const Identity id = sequence_.identity(run, b);
      // What a reduce adds to is its own.
      const bool own = exposes && x.writes(b);
      if (sequence_.buffer(id).exported && !own) exposed_[static_cast<std::size_t>(id)] = exposes ? op : -1;
    }
  for (BufferId b : x.writes()) {
    const Identity id = sequence_.identity(run, b);
    const OpId collective = exposed_[static_cast<std::size_t>(id)];
    if (collective < 0 || collective == op) continue;
    return Finding{op, fmt::format("{} writes {}, which peers may still read since {}: a release of {} must stand "
                                   "between them",
                                   sequence_.describe(op), sequence_.buffer(id).name, sequence_.describe(collective),
                                   sequence_.buffer(id).name)};
  }
  return std::nullopt;
}

Found Exports::end_of_run(std::size_t run) const {
  Found first;
  const auto count = static_cast<BufferId>(sequence_.schedule(run).buffers.size());
  for (BufferId b = 0; b < count; ++b) {
    const Identity id = sequence_.identity(run, b);
    const OpId collective = exposed_[static_cast<std::size_t>(id)];
    if (collective < 0 || sequence_.buffer(id).lifetime != Lifetime::step) continue;
    if (first && first->op <= collective) continue;
    first = Finding{collective, fmt::format("{} lets peers read {}, which is never released: a release must follow "
                                            "before the schedule ends",
                                            sequence_.describe(collective), sequence_.buffer(id).name)};
  }
  return first;
}

}  // namespace trireme::checking
