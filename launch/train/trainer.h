#pragma once
// One rank of a run: takes the memory of its planned programs, and runs steps. Knows no MPI and no command line.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "launch/plan/rank_programs.h"
#include "launch/train/wire_report.h"
#include "models/batch.h"
#include "runtime/device/device.h"
#include "runtime/execute/executor.h"
#include "shard/step_records.h"

namespace trireme {

/// Fills the planned buffers of one microbatch, but for positions; document starts are 0 before: of step `step` and number `microbatch` in it.
using BatchSource = std::function<void(std::int64_t step, int microbatch, Batch batch)>;

/// What a step did, equal on all ranks.
struct StepReport {
  double loss = 0, gradient_norm = 0, learning_rate = 0;
  std::int64_t valid_tokens = 0;  // targets that count in the global batch
  bool applied = false;
};

/// What this rank found in a second run of a step.
struct Diagnosis {
  std::int64_t op = -1;  // of the schedule `diagnose`; -1: everything is finite on this rank
  std::string text;
};

class Trainer {
 public:
  /// Allocates, then runs `init` or `load`. `planned`: by plan_programs(), of the communicator's rank.
  /// Errors: Error(plan) when the system refuses the memory, Error(device), Error(bug).
  Trainer(const TrainerSettings& settings, PlannedPrograms planned, Communicator& communicator, BatchSource train,
          BatchSource validation, std::unique_ptr<Device> device, std::span<OpObserver* const> observers,
          std::function<void(OpTable&)> edit_table = {});
  ~Trainer();

  /// Takes the memory that init or load did not touch; the first schedule behind them does, too.
  void take_all_memory();
  /// `audits`, on all ranks alike: replays the right neighbour's first microbatch, too.
  StepReport step(std::int64_t step, double learning_rate, bool audits = false);
  /// Behind a step that was not applied: the step again, with checks. Changes nothing.
  Diagnosis diagnose(std::int64_t step);
  /// Behind a step that audits: the units whose gradients differ from those of the neighbour; empty where none does. Waits.
  std::string audit();
  /// Loss sums of one round of validation microbatches, first number `first`; one per rank.
  /// Adds exactly to `loss` and to `valid_tokens`.
  void validate_round(int first, ExactSum& loss, std::int64_t& valid_tokens);
  /// The most likely token after `tokens` (at most a sequence of them); all ranks call it with the same.
  int choose_next(std::span<const int> tokens);

  /// How long compute stood still for events in the last step, by cause.
  StallTime stalls();
  /// Runs `task` on the comm stream, to which the communicator belongs, and waits for it.
  void on_comm_stream(const std::function<void(Communicator&)>& task);

  /// What every rank brings, by rank. Collective; waits.
  std::vector<std::string> gather_text(const std::string& own);

  /// Waits for everything that still runs on this rank. A trainer that goes away before that has failed: it aborts the
  /// communicator, so that no op of its waits for peers.
  void finish();
  /// The ordinary end, on all ranks together: peers may read this rank's memory until it returns.
  void close();
  /// xxh3 of each block of the masters, and of the optimizer's states, by unit and buffer: for combine_hashes().
  std::vector<std::vector<std::uint64_t>> hash_weights();
  std::vector<std::vector<std::uint64_t>> hash_states();
  /// This rank's slice of a unit's masters, f32; call after finish().
  View master(std::size_t unit);
  const std::vector<FlatLayout>& layouts() const { return layouts_; }

  /// What this rank takes from others: planned for a step, and for all schedules that ran, and what it took. Waits.
  RankWire wire();

  const RunPrograms& programs() const { return programs_.run; }
  const RankPrograms& rank_programs() const { return programs_; }
  Timeline timeline(ScheduleKind schedule);

 private:
  void run(ScheduleKind schedule);
  void submit(ScheduleKind schedule);
  void execute(ScheduleKind schedule);
  const Buffer& buffer_of(Content content, std::optional<std::size_t> unit = std::nullopt, std::size_t state = 0) const;
  View slice_of(const Buffer& buffer) const;
  std::size_t index_of(ScheduleKind schedule) const;
  void step_values(const OpContext& context);
  void fill_batch(const Schedule& schedule, int microbatch, const Batch& batch);
  template <typename Record>
  Record& record(Content content) const;

  TrainerSettings settings_;
  Communicator& communicator_;
  RankPrograms programs_;
  std::vector<FlatLayout> layouts_;
  std::byte* arena_ = nullptr;
  OpTable table_;
  std::unique_ptr<Executor> executor_;
  BatchSource train_, validation_;
  StepValues next_values_;          // what step_values will write
  int first_validation_ = 0;
  std::vector<int> sample_tokens_;
  std::optional<ScheduleKind> last_;              // what ran last
  ScheduleKind last_step_ = ScheduleKind::step;  // of those that step
  std::vector<Traffic> planned_;    // by schedule
  Traffic planned_total_;           // of what ran
  std::vector<WaitInterval> waits_;       // of the comm stream for peers, since stalls() was asked last
  std::vector<Timeline::Span> late_;      // the same on the executor's clock
  bool has_all_memory_ = false;
  bool running_ = false;            // ops may still be under way
  std::unique_ptr<Device> device_;  // goes first: its streams' tasks use all of the above
};

}  // namespace trireme
