#include "launch/train/run_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "comm/agreement.h"
#include "launch/config/settings.h"
#include "launch/train/step_guard.h"
#include "models/describe.h"
#include "runtime/base/log.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Where a rank of the node reads this one's memory, it must be able to map it.
std::unique_ptr<Device> make_device(const RunStart& start) {
  const bool is_read = sharing_peers(start.plan.own.programs.spec) > 0;
  return make_cpu_device(run_stream_count, start.settings.threads, is_read ? Pages::shared : Pages::own);
}

BatchSources sources_of(const RunInputs& inputs) {
  const Config& config = inputs.config;
  const DataOrder order{.shuffled = config.data.order == "shuffled",
                        .seed = static_cast<std::uint64_t>(config.train.seed),
                        .global_batch = config.train.global_batch,
                        .micro_batch = config.train.micro_batch};
  return {.training = [&inputs, order](std::int64_t step, int microbatch,
                                       Batch batch) { fill_training(inputs.train, order, step, microbatch, batch); },
          .validation =
              [&inputs](std::int64_t, int microbatch, Batch batch) {
                fill_validation(*inputs.valid, inputs.config.train.micro_batch, microbatch, batch);
              }};
}

void meet(ProgramRunner& runner) {
  runner.on_comm_stream([](Communicator& ranks) { ranks.barrier(); });
}

}  // namespace

RunLoop::RunLoop(const Run& run, RunStart& start)
    : run_(run),
      settings_(start.settings),
      lr_(lr_schedule(run.inputs.config)),
      peak_flops_(start.rank_peak_flops() * run.mpi.size()),
      observer_(run.mpi.page()) {
  make_trainer(start);
  // From here on nothing refuses this run: what an earlier one left in the folder may go.
  const Config& config = run.inputs.config;
  if (run.speaks())
    log_ = std::make_unique<StepLog>(start.log_folder ? start.log_folder->take_over() : "", config.log.every,
                                     config.train.steps);
}

void RunLoop::make_trainer(RunStart& start) {
  std::vector<OpObserver*> observers = {&observer_};
  if (profiles()) observers.push_back(&clock_);
  const auto begun = Clock::now();
  std::unique_ptr<Device> device = make_device(start);
  trainer_ = std::make_unique<Trainer>(settings_, std::move(start.plan.own), run_.communicator, sources_of(run_.inputs),
                                       RunnerParts{.device = std::move(device), .observers = observers});
  meet(trainer_->runner());
  if (run_.speaks() && run_.inputs.folder) say(fmt::format("model folder read in {:.1f} s", ms_since(begun) / 1000));
  trainer_->runner().take_all_memory();
  meet(trainer_->runner());
}

void RunLoop::run_steps() {
  const int steps = run_.inputs.config.train.steps, valid_every = run_.inputs.config.train.valid_every;
  for (int s = 0; s < steps; ++s) {
    step(s);
    if (valid_every > 0 && (s + 1) % valid_every == 0) validate(s);
  }
  if (skipped_ > 0 && run_.speaks()) say(fmt::format("skipped {} of {} steps", skipped_, steps));
}

void RunLoop::step(std::int64_t step) {
  run_.mpi.page().set_step(step);
  const auto start = Clock::now();
  const int audit_every = run_.inputs.config.train.audit;
  const bool audits = audit_every > 0 && (step + 1) % audit_every == 0;
  const StepReport report = trainer_->step(step, lr_.at(step), audits);
  const double step_ms = ms_since(start);
  if (log_) log_step(step, report, step_ms);
  if (audits) check_audit(step);
  if (!report.applied) on_bad_step(step, report);
}

void RunLoop::check_audit(std::int64_t step) {
  const int audited = std::min(run_.mpi.size(), settings_.global_batch / settings_.micro_batch);
  if (const auto verdict = audit_together(*trainer_, audited))
    stop_together(ErrorKind::device,
                  fmt::format("audit of step {}: {}; take that machine out: what it computed since the audit before "
                              "is not to be trusted",
                              step, *verdict));
  if (run_.speaks()) say(fmt::format("step={} audit=passed", step));
}

// Its updates did nothing.
void RunLoop::on_bad_step(std::int64_t step, const StepReport& report) {
  if (report.valid_tokens == 0)
    stop_together(ErrorKind::data,
                  fmt::format("step {}: no token of its global batch counts as a target; look at the mask files, or "
                              "use a larger train.global_batch",
                              step));
  const std::string found = fmt::format("step {}: loss {} or gradient norm {} is not finite; {}", step, report.loss,
                                        report.gradient_norm, diagnose_together(*trainer_, step));
  if (run_.inputs.config.train.bad_step == "stop")
    stop_together(ErrorKind::numeric,
                  found + "; lower train.lr, look at the data, or let train.bad_step = \"skip\" pass over it");
  ++skipped_;
  if (run_.speaks()) say(fmt::format("skipped {}", found));
}

// What all ranks know alike. Peers may still be sent what step carried: no memory goes before all have it.
void RunLoop::stop_together(ErrorKind kind, const std::string& message) {
  trainer_->runner().finish();
  trainer_->runner().close();
  throw AgreedError(kind, message);
}

void RunLoop::log_step(std::int64_t step, const StepReport& report, double step_ms) {
  const ModelSpec& model = trainer_->runner().programs().model;
  const double tokens = static_cast<double>(settings_.global_batch) * settings_.sequence;
  const Elems microbatch_tokens = Elems{settings_.micro_batch} * settings_.sequence;
  const double flops = flops_per_token(model, microbatch_tokens) * tokens;
  const StallTime stalls = trainer_->stalls();
  if (step >= StepClock::warm_up_steps) skew_us_ += stalls.skew_us;
  log_->step({.step = step,
              .loss = report.loss,
              .grad_norm = report.gradient_norm,
              .lr = report.learning_rate,
              .tokens_per_s = tokens / step_ms * 1000,
              .step_ms = step_ms,
              .exposed_comm_ms = stalls.exposed_us / 1000,
              .skew_ms = stalls.skew_us / 1000,
              .mfu = flops / (step_ms / 1000) / peak_flops_});
}

void RunLoop::validate(std::int64_t step) {
  const auto microbatches = ceil_div(run_.inputs.valid->sequences(), settings_.micro_batch);
  ExactSum loss;
  std::int64_t valid_tokens = 0;
  for (std::int64_t first = 0; first < microbatches; first += run_.mpi.size())
    trainer_->validate_round(static_cast<int>(first), loss, valid_tokens);
  if (!log_) return;
  // What counts lies behind the last whole sequence: no reason to lose what was trained.
  if (valid_tokens == 0) return warn("no target of a whole sequence of data.valid counts: it has no loss");
  log_->validation(step, loss.value() / static_cast<double>(valid_tokens));
}

StepTimes RunLoop::times() const {
  StepTimes times = clock_.times();
  times.skew_us = skew_us_;
  return times;
}

}  // namespace trireme
