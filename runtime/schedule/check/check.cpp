#include "runtime/schedule/check/check.h"

#include <fmt/format.h>

#include <vector>

#include "runtime/schedule/check/check_accumulators.h"
#include "runtime/schedule/check/check_bytes.h"
#include "runtime/schedule/check/check_exports.h"
#include "runtime/schedule/check/check_hazards.h"
#include "runtime/schedule/check/check_sequence.h"
#include "runtime/schedule/op_kinds.h"

namespace trireme {
namespace {

/// Walks a sequence once, op by op, past all rules.
class Proof {
 public:
  explicit Proof(std::span<const Schedule* const> schedules) : sequence_(schedules) {}

  std::optional<Problem> check() {
    checking::Found found = bytes_.claim_before_first();
    for (std::size_t run = 0; !found && run < sequence_.runs(); ++run) found = check_run(run);
    if (!found) return std::nullopt;
    return sequence_.problem(*found);
  }

 private:
  checking::Found check_run(std::size_t run) {
    const OpId first = sequence_.first_op(run);
    const OpId end = first + static_cast<OpId>(sequence_.schedule(run).ops.size());
    for (OpId op = first; op < end; ++op) {
      if (auto found = exports_.visit(op, run)) return found;
      if (auto found = hazards_.visit(op, run)) return found;
      if (auto found = accumulators_.visit(op, run)) return found;
      if (auto found = bytes_.visit(op, run)) return found;
    }
    if (auto found = exports_.end_of_run(run)) return found;
    return bytes_.end_of_run(run);
  }

  checking::Sequence sequence_;
  checking::Hazards hazards_{sequence_};
  checking::Exports exports_{sequence_};
  checking::Accumulators accumulators_{sequence_};
  checking::ByteOwners bytes_{sequence_};
};

// Each op against the table of kinds.
std::optional<Problem> check_operands(const Schedule& schedule) {
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id)
    if (const auto fault = operand_fault(schedule, schedule.ops[static_cast<std::size_t>(id)]))
      return Problem{schedule.kind, id, fmt::format("{} {}", describe(schedule, id), *fault)};
  return std::nullopt;
}

}  // namespace

std::optional<Problem> check(const Schedule& schedule) {
  const std::vector<const Schedule*> alone = {&schedule};
  return check_sequences(alone, {&alone, 1});
}

std::optional<Problem> check_sequence(std::span<const Schedule* const> sequence) {
  for (const Schedule* schedule : sequence)
    if (auto problem = checking::check_structure(*schedule, checking::RecordPlace::above)) return problem;
  if (auto problem = checking::check_same_buffers(sequence)) return problem;
  return Proof(sequence).check();
}

std::optional<Problem> check_sequences(std::span<const Schedule* const> schedules,
                                       std::span<const std::vector<const Schedule*>> sequences) {
  for (const Schedule* schedule : schedules) {
    if (auto problem = checking::check_structure(*schedule, checking::RecordPlace::above)) return problem;
    if (auto problem = check_operands(*schedule)) return problem;
  }
  if (auto problem = checking::check_same_buffers(schedules)) return problem;
  for (const std::vector<const Schedule*>& sequence : sequences)
    if (auto problem = Proof(sequence).check()) return problem;
  return std::nullopt;
}

}  // namespace trireme
