#include "runtime/schedule/check/check_hazards.h"

#include <fmt/format.h>

namespace trireme::checking {

Found Hazards::visit(OpId op, std::size_t run) {
  const Op& x = sequence_.op(op);
  for (const Operand& operand : x.operands)
    if (Found found = check_record(operand, op, run, sequence_.identity(run, operand.buffer))) return found;
  for (BufferId b : x.reads()) {
    const Identity id = sequence_.identity(run, b);
    if (Found found = check_read(op, run, id)) return found;
    last_[static_cast<std::size_t>(id)].reads[x.stream] = op;
  }
  for (BufferId b : x.writes()) {
    const Identity id = sequence_.identity(run, b);
    if (Found found = check_write(op, id)) return found;
    Last& last = last_[static_cast<std::size_t>(id)];
    last = Last{.write = op, .write_run = run, .read_older = last.read_older, .older_run = last.older_run};
  }
  return std::nullopt;
}

Found Hazards::check_record(const Operand& operand, OpId op, std::size_t run, Identity id) {
  const Buffer& buffer = sequence_.buffer(id);
  if (buffer.role != Role::data || buffer.lifetime != Lifetime::persistent) return std::nullopt;
  Last& last = last_[static_cast<std::size_t>(id)];
  const bool has_older = last.read_older && last.older_run == run;
  const bool made = last.write >= 0 && last.write_run == run;
  if (operand.reads() && !made && !has_older) last.read_older = op, last.older_run = run;
  if (operand.access != Access::write || !has_older) return std::nullopt;
  return Finding{op, fmt::format("{} makes {} anew, which {} above it has read: it must be made before it is read",
                                 sequence_.describe(op), buffer.name, sequence_.describe(*last.read_older))};
}

Found Hazards::check_read(OpId op, std::size_t run, Identity id) const {
  if (Found found = check_source(op, run, id)) return found;
  const OpId write = last_[static_cast<std::size_t>(id)].write;
  if (write < 0 || write == op || sequence_.before(write, op)) return std::nullopt;
  return Finding{op, fmt::format("{} reads {}, which {} writes, but no event orders the read after the write",
                                 sequence_.describe(op), sequence_.buffer(id).name, sequence_.describe(write))};
}

// Where the value that is read comes from.
Found Hazards::check_source(OpId op, std::size_t run, Identity id) const {
  const Last& last = last_[static_cast<std::size_t>(id)];
  const Buffer& buffer = sequence_.buffer(id);
  switch (buffer.lifetime) {
    case Lifetime::persistent: return std::nullopt;
    case Lifetime::step:
      if (last.write >= 0) return std::nullopt;
      return Finding{op, fmt::format("{} reads {}, which no op above it writes", sequence_.describe(op), buffer.name)};
    case Lifetime::carried:
      // What ran before the first schedule is not known.
      if (run == 0 || (last.write >= 0 && last.write_run + 1 >= run)) return std::nullopt;
      return Finding{op, fmt::format("{} reads the carried buffer {}, which the schedule before it ({}) does not write",
                                     sequence_.describe(op), buffer.name, name(sequence_.schedule(run - 1).kind))};
  }
  return std::nullopt;
}

Found Hazards::check_write(OpId op, Identity id) const {
  const Last& last = last_[static_cast<std::size_t>(id)];
  // A token has no bytes to overwrite: who waited for it before has waited for its earlier record.
  const bool is_token = sequence_.buffer(id).role == Role::token;
  for (OpId read : last.reads)
    if (!is_token && read >= 0 && read != op && !sequence_.before(read, op))
      return Finding{op, fmt::format("{} writes {}, which {} reads, but no event orders the write after the read",
                                     sequence_.describe(op), sequence_.buffer(id).name, sequence_.describe(read))};
  if (last.write >= 0 && last.write != op && !sequence_.before(last.write, op))
    return Finding{op, fmt::format("{} writes {}, which {} writes, too, but no event orders the two writes",
                                   sequence_.describe(op), sequence_.buffer(id).name, sequence_.describe(last.write))};
  return std::nullopt;
}

}  // namespace trireme::checking
