#pragma once
// What the rules of check() walk over: schedules run one after the other, ops and buffers numbered through.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/schedule/check/check.h"
#include "runtime/schedule/happens_before.h"

namespace trireme::checking {

/// One buffer of a run, in all schedules that have it. Step buffers are another one in every schedule.
using Identity = std::int32_t;

/// What a rule found; the op is numbered through the sequence.
struct Finding {
  OpId op = 0;
  std::string message;
};
using Found = std::optional<Finding>;

/// Needs schedules whose ids are valid and whose waits have records: check_structure() has passed.
class Sequence {
 public:
  explicit Sequence(std::span<const Schedule* const> schedules);

  std::size_t runs() const { return schedules_.size(); }
  const Schedule& schedule(std::size_t run) const { return *schedules_[run]; }
  OpId first_op(std::size_t run) const { return first_op_[run]; }

  std::size_t identities() const { return buffers_.size(); }
  Identity identity(std::size_t run, BufferId id) const { return identity_[run][static_cast<std::size_t>(id)]; }
  const Buffer& buffer(Identity identity) const { return *buffers_[static_cast<std::size_t>(identity)]; }

  bool before(OpId first, OpId second) const { return order_.before(first, second); }
  const Op& op(OpId op) const;
  std::size_t run_of(OpId op) const;
  /// "gather unit 4 (op 12)", with " of enter" where the sequence has several schedules.
  std::string describe(OpId op) const;
  Problem problem(const Finding& finding) const;

 private:
  std::span<const Schedule* const> schedules_;
  std::vector<OpId> first_op_;                   // per run
  std::vector<std::vector<Identity>> identity_;  // [run][buffer]
  std::vector<const Buffer*> buffers_;           // by identity: as the first schedule that has it says
  HappensBefore order_;
};

/// Where the record that a wait waits for may stand.
enum class RecordPlace { above, anywhere };

/// Ids in range, unique names, waits with records, comm ops on comm, and everything else that one op shows alone.
std::optional<Problem> check_structure(const Schedule& schedule, RecordPlace records);
/// Persistent and carried buffers of equal name are the same in all schedules.
std::optional<Problem> check_same_buffers(std::span<const Schedule* const> sequence);

}  // namespace trireme::checking
