#pragma once
// One rank's programs on its device: takes the memory that is planned for them, and runs them by kind. Knows neither
// steps nor batches, no MPI and no command line.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "comm/communicator.h"
#include "launch/plan/rank_programs.h"
#include "launch/train/wire_report.h"
#include "runtime/device/device.h"
#include "runtime/execute/executor.h"

namespace trireme {

/// What programs run on, and what looks on. Observers outlive the runner.
struct RunnerParts {
  std::unique_ptr<Device> device;
  std::span<OpObserver* const> observers = {};
  std::function<void(OpTable&)> edit_table = {};  // behind the handlers of comm, models and optim
};

/// Threads  one host thread calls it.
/// Failure  a runner that goes away before finish() has failed: it aborts the communicator, so that no op of its waits
///          for peers.
class ProgramRunner {
 public:
  /// Allocates, then runs `init` or `load`. `planned`: by plan_programs(), of the communicator's rank.
  /// Errors: Error(plan) when the system refuses the memory, Error(device), Error(bug).
  ProgramRunner(const TrainerSettings& settings, PlannedPrograms planned, Communicator& communicator,
                RunnerParts parts);
  ~ProgramRunner();

  /// Takes the memory that init or load did not touch; the first schedule behind them does, too.
  void take_all_memory();
  /// Runs a schedule, behind `enter` where it needs the gathers of one; returns when its compute is done.
  void run(ScheduleKind schedule);
  /// Waits for everything that still runs on this rank.
  void finish();
  /// The ordinary end, on all ranks together: peers may read this rank's memory until it returns.
  void close();

  /// Runs `task` on the comm stream, to which the communicator belongs, and waits for it.
  void on_comm_stream(const std::function<void(Communicator&)>& task);
  /// The same with a result.
  template <typename Exchange>
  auto over_ranks(const Exchange& exchange) {
    std::optional<std::invoke_result_t<const Exchange&, Communicator&>> result;
    on_comm_stream([&](Communicator& ranks) { result.emplace(exchange(ranks)); });
    return std::move(*result);
  }

  /// What lies in a buffer that outlives schedules; call when nothing that writes it runs.
  template <typename Record>
  std::span<Record> records(Content content) const {
    const View view = view_of(buffer_of(content));
    return {static_cast<Record*>(view.data), static_cast<std::size_t>(view.bytes()) / sizeof(Record)};
  }
  template <typename Record>
  Record& record(Content content) const {
    const std::span<Record> all = records<Record>(content);
    ensure(all.size() == 1, "{} is not one record of {} bytes", name(content), sizeof(Record));
    return all.front();
  }
  /// This rank's slice of the masters (f32) or of a state of a unit; call after finish().
  View slice(Content content, std::size_t unit, std::size_t state = 0) const;

  const RankPrograms& programs() const { return programs_; }
  const Schedule& schedule(ScheduleKind kind) const { return programs_.run.schedules[index_of(kind)]; }
  const std::vector<FlatLayout>& layouts() const { return layouts_; }

  /// What this rank takes from others: planned for a step, and for all schedules that ran, and what it took. Waits.
  RankWire wire();
  /// How long compute stood still for events in the last run of a schedule, by cause.
  StallTime stalls(ScheduleKind schedule);
  Timeline timeline(ScheduleKind schedule);

 private:
  OpTable make_table(const TrainerSettings& settings, const std::function<void(OpTable&)>& edit) const;
  void submit(ScheduleKind schedule);
  void execute(ScheduleKind schedule);
  std::size_t index_of(ScheduleKind schedule) const;
  const Buffer& buffer_of(Content content, std::optional<std::size_t> unit = std::nullopt, std::size_t state = 0) const;
  View view_of(const Buffer& buffer) const { return {arena_ + *buffer.offset, buffer.type, buffer.elems}; }

  Communicator& communicator_;
  RankPrograms programs_;
  std::vector<FlatLayout> layouts_;
  std::byte* arena_ = nullptr;
  OpTable table_;
  std::unique_ptr<Executor> executor_;
  std::optional<ScheduleKind> last_;  // what ran last
  std::vector<Traffic> planned_;      // by schedule
  Traffic planned_total_;             // of what ran
  std::vector<WaitInterval> waits_;   // of the comm stream for peers, since stalls() was asked last
  std::vector<Timeline::Span> late_;  // the same on the executor's clock
  bool has_all_memory_ = false;
  bool running_ = false;            // ops may still be under way
  std::unique_ptr<Device> device_;  // goes first: its streams' tasks use all of the above
};

}  // namespace trireme
