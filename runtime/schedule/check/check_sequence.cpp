#include "runtime/schedule/check/check_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace trireme::checking {

Sequence::Sequence(std::span<const Schedule* const> schedules) : schedules_(schedules), order_(schedules) {
  std::unordered_map<std::string_view, Identity> shared;
  OpId next = 0;
  std::size_t most = 0;
  for (const Schedule* schedule : schedules) most += schedule->buffers.size();
  buffers_.reserve(most);
  for (const Schedule* schedule : schedules) {
    first_op_.push_back(next);
    next += static_cast<OpId>(schedule->ops.size());
    std::vector<Identity>& identity = identity_.emplace_back();
    identity.reserve(schedule->buffers.size());
    for (const Buffer& buffer : schedule->buffers) {
      const auto fresh = static_cast<Identity>(buffers_.size());
      const Identity id = buffer.lifetime == Lifetime::step ? fresh : shared.emplace(buffer.name, fresh).first->second;
      if (id == fresh) buffers_.push_back(&buffer);
      identity.push_back(id);
    }
  }
}

std::size_t Sequence::run_of(OpId op) const {
  // Schedules without ops share their first op with the next one.
  return static_cast<std::size_t>(std::upper_bound(first_op_.begin(), first_op_.end(), op) - first_op_.begin()) - 1;
}

const Op& Sequence::op(OpId op) const {
  const std::size_t run = run_of(op);
  return schedules_[run]->ops[static_cast<std::size_t>(op - first_op_[run])];
}

std::string Sequence::describe(OpId op) const {
  const std::size_t run = run_of(op);
  const std::string text = trireme::describe(*schedules_[run], op - first_op_[run]);
  return runs() == 1 ? text
                     : fmt::format("{} of {}, number {} of the sequence", text, name(schedules_[run]->kind), run + 1);
}

Problem Sequence::problem(const Finding& finding) const {
  const std::size_t run = run_of(finding.op);
  return {schedules_[run]->kind, finding.op - first_op_[run], finding.message};
}

}  // namespace trireme::checking
