#include "shard/check_run.h"

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/schedule/check/check.h"

namespace trireme {
namespace {

using Sequence = std::vector<const Schedule*>;

void fail_on(const std::optional<Problem>& problem, int rank) {
  if (problem)
    throw Error(ErrorKind::bug, fmt::format("rank {}, schedule {}, op {}: {}", rank, name(problem->schedule),
                                            problem->op, problem->message));
}

/// Sequences without those that are the beginning of another: what they prove it proves.
class Sequences {
 public:
  void add(Sequence sequence) {
    std::erase(sequence, nullptr);
    for (const Sequence& other : list_)
      if (begins(other, sequence)) return;
    std::erase_if(list_, [&](const Sequence& other) { return begins(sequence, other); });
    list_.push_back(std::move(sequence));
  }
  const std::vector<Sequence>& list() const { return list_; }

 private:
  static bool begins(const Sequence& longer, const Sequence& shorter) {
    return shorter.size() <= longer.size() && std::equal(shorter.begin(), shorter.end(), longer.begin());
  }

  std::vector<Sequence> list_;
};

// Between them they have every schedule.
std::vector<Sequence> possible_sequences(const RunPrograms& run) {
  const Schedule* init = run.find(ScheduleKind::init) ? run.find(ScheduleKind::init) : run.find(ScheduleKind::load);
  const Schedule* step = run.find(ScheduleKind::step);
  const Schedule* enter = run.find(ScheduleKind::enter);
  Sequences sequences;
  sequences.add({init, enter, step, step});
  if (const Schedule* audit = run.find(ScheduleKind::step_with_audit)) {
    sequences.add({init, enter, audit, audit});
    sequences.add({step, audit, step});
  }
  sequences.add({step, run.find(ScheduleKind::validate), run.find(ScheduleKind::sample)});
  sequences.add({step, run.find(ScheduleKind::diagnose), run.find(ScheduleKind::validate)});
  for (const ScheduleKind kind : {ScheduleKind::diagnose, ScheduleKind::validate, ScheduleKind::sample})
    if (const Schedule* other = run.find(kind)) {
      sequences.add({step, other, enter, step});
      sequences.add({init, other, enter});
      sequences.add({step, other, other});
    }
  return sequences.list();
}

}  // namespace

void check_alone(const RunPrograms& run) {
  Sequence all;
  for (const Schedule& schedule : run.schedules) all.push_back(&schedule);
  fail_on(check_sequences(all, possible_sequences(run)), run.schedules.front().rank);
}

void check_together(std::span<const RunPrograms> classes) {
  for (int kind = 0; kind < schedule_kind_count; ++kind) {
    std::vector<const Schedule*> ranks;
    for (const RunPrograms& run : classes)
      if (const Schedule* schedule = run.find(static_cast<ScheduleKind>(kind))) ranks.push_back(schedule);
    if (!ranks.empty()) fail_on(check_ranks(ranks), ranks.front()->rank);
  }
}

void check_run(std::span<const RunPrograms> classes) {
  for (const RunPrograms& run : classes) check_alone(run);
  check_together(classes);
}

void check_run(const RunPrograms& run) { check_run({&run, 1}); }

}  // namespace trireme
