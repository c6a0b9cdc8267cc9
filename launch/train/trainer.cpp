#include "launch/train/trainer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "comm/agreement.h"
#include "comm/comm_ops.h"
#include "launch/plan/process_memory.h"
#include "models/hf/load_ops.h"
#include "models/model_ops.h"
#include "optim/check_finite.h"
#include "optim/gradient_hash.h"
#include "shard/state_hash.h"

namespace trireme {
namespace {

constexpr auto comm_stream = static_cast<Device::Stream>(StreamId::comm);

}  // namespace

Trainer::Trainer(const TrainerSettings& settings, PlannedPrograms planned, Communicator& communicator, BatchSource train,
                 BatchSource validation, std::unique_ptr<Device> device, std::span<OpObserver* const> observers,
                 std::function<void(OpTable&)> edit_table)
    : settings_(settings), communicator_(communicator), programs_(std::move(planned.programs)), train_(std::move(train)),
      validation_(std::move(validation)), device_(std::move(device)) {
  const Bytes arena_bytes = std::max<Bytes>(planned.plan.device.peak_bytes, 1);
  planned.plan = {};
  give_back_free_heap();
  arena_ = device_->allocate(arena_bytes);
  if (device_->memory_file() >= 0)
    communicator.share({.data = arena_, .bytes = arena_bytes, .file = device_->memory_file()});
  if (communicator.needs_progress()) device_->set_idle(comm_stream, [&communicator] { communicator.progress(); });

  const std::vector<UnitSpec>& units = programs_.model.units;
  layouts_.reserve(units.size());
  for (const UnitSpec& unit : units) layouts_.emplace_back(unit, communicator.size());
  register_comm_ops(table_, communicator);
  register_optim_ops(table_, settings.optimizer, units, layouts_);
  register_hash_ops(table_, layouts_);
  register_check_ops(table_, layouts_);
  register_model_ops(table_, make_model(settings.model, settings.sequence, settings.products), units, layouts_,
                     settings.seed);
  if (settings.folder) hf::register_load_ops(table_, settings.folder, units, layouts_);
  table_.set(OpKind::step_values, [this](const OpContext& context) { step_values(context); });
  if (edit_table) edit_table(table_);
  std::vector<const Schedule*> schedules;
  for (const Schedule& schedule : programs_.run.schedules) {
    schedules.push_back(&schedule);
    const PlannedTraffic traffic = planned_traffic(schedule, programs_.spec.nodes);
    planned_.push_back({.in_place = traffic.node(), .messages = traffic.elsewhere()});
  }
  executor_ = std::make_unique<Executor>(*device_, Arenas{.device = {arena_, static_cast<std::size_t>(arena_bytes)}}, schedules, table_, observers,
                                         [&communicator] { communicator.abort(); });
  waits_.resize(WaitLog::capacity);
  late_.reserve(WaitLog::capacity);
  submit(settings.load ? ScheduleKind::load : ScheduleKind::init);
}

Trainer::~Trainer() {
  if (running_) communicator_.abort();
}

std::size_t Trainer::index_of(ScheduleKind schedule) const {
  const auto& list = programs_.run.schedules;
  const auto found = std::find_if(list.begin(), list.end(), [&](const Schedule& s) { return s.kind == schedule; });
  ensure(found != list.end(), "the run has no schedule {}", name(schedule));
  return static_cast<std::size_t>(found - list.begin());
}

void Trainer::execute(ScheduleKind schedule) {
  const std::size_t index = index_of(schedule);
  executor_->run(index);
  planned_total_ += planned_[index];
}

RankWire Trainer::wire() {
  RankWire wire{.step = planned_traffic(*programs_.run.find(ScheduleKind::step), programs_.spec.nodes), .planned = planned_total_,
                .measured = {}};
  on_comm_stream([&](Communicator& communicator) { wire.measured = communicator.traffic(); });
  return wire;
}

void Trainer::take_all_memory() {
  if (!has_all_memory_) device_->populate(arena_);
  has_all_memory_ = true;
}

void Trainer::run(ScheduleKind schedule) {
  take_all_memory();
  submit(schedule);
}

void Trainer::submit(ScheduleKind schedule) {
  running_ = true;
  // Carried gathers are those of any step.
  const bool enters = is_step(schedule) && !(last_ && is_step(*last_)) && programs_.run.find(ScheduleKind::enter);
  if (enters) execute(ScheduleKind::enter);
  execute(schedule);
  last_ = schedule;
  executor_->wait_compute();
}

// What differs from step to step, on the compute stream, straight into planned buffers.
void Trainer::step_values(const OpContext& context) {
  context.record<StepValues>(Slot::values) = next_values_;
  context.record<StepSums>(Slot::sums) = StepSums();
  TokenCount& tokens = context.record<TokenCount>(Slot::tokens);
  tokens = TokenCount();
  int turn = 0;
  for (BufferId b : context.list(Slot::batches)) {
    const Batch batch(context.view(b));
    fill_batch(context.schedule, programs_.spec.microbatch(turn++), batch);
    tokens.valid_tokens += batch.valid_tokens();
  }
  // What an audit replays counts for the rank that it belongs to.
  if (const View replayed = context.view_if_any(Slot::audit_batch); !replayed.empty())
    fill_batch(context.schedule, programs_.spec.microbatch_of(0, programs_.spec.neighbour(1)), Batch(replayed));
}

// `microbatch`: of a step.
void Trainer::fill_batch(const Schedule& schedule, int microbatch, const Batch& batch) {
  std::fill_n(batch.document_starts.as<std::int32_t>(), batch.token_count(), 0);  // for sources without documents
  if (is_step(schedule.kind) || schedule.kind == ScheduleKind::diagnose) {
    train_(next_values_.step, microbatch, batch);
  } else if (schedule.kind == ScheduleKind::validate) {
    validation_(next_values_.step, first_validation_ + schedule.rank, batch);
  } else {
    for (Elems n = 0; n < batch.token_count(); ++n) {
      const auto i = static_cast<std::size_t>(n);
      batch.tokens.as<std::int32_t>()[n] = i < sample_tokens_.size() ? sample_tokens_[i] : 0;
      batch.targets.as<std::int32_t>()[n] = 0;
      batch.weights.as<float>()[n] = 0;
    }
  }
  for (Elems n = 0; n < batch.token_count(); ++n)
    batch.positions.as<std::int32_t>()[n] =
        static_cast<std::int32_t>(n % settings_.sequence) - batch.document_starts.as<std::int32_t>()[n];
}

Diagnosis Trainer::diagnose(std::int64_t step) {
  finish();
  next_values_.step = step;
  Finding& finding = record<Finding>(Content::finding);
  finding = {};
  run(ScheduleKind::diagnose);
  finish();
  if (finding.op < 0) return {};
  return {.op = finding.op, .text = describe(finding, *programs_.run.find(ScheduleKind::diagnose), programs_.model.units)};
}

std::string Trainer::audit() {
  finish();
  const StepSpec& spec = programs_.spec;
  if (!spec.takes_part(0)) return "";
  const std::int64_t* replayed = &record<std::int64_t>(Content::replayed_hashes);
  const std::int64_t* expected = &record<std::int64_t>(spec.neighbour(1) == spec.rank ? Content::own_hashes : Content::received_hashes);
  std::vector<std::string> units;
  std::size_t place = 0;
  const Schedule& schedule = *programs_.run.find(ScheduleKind::step_with_audit);
  for (const Op& op : schedule.ops) {
    if (op.kind != OpKind::hash || schedule.buffers[static_cast<std::size_t>(op.at(Slot::hashes))].content != Content::replayed_hashes) continue;
    ++place;
    if (replayed[place] != expected[place]) units.push_back(programs_.model.units[static_cast<std::size_t>(*op.unit)].name);
  }
  return fmt::format("{}", fmt::join(units, ", "));
}

StepReport Trainer::step(std::int64_t step, double learning_rate, bool audits) {
  next_values_ = {.step = step, .learning_rate = learning_rate};
  last_step_ = audits ? ScheduleKind::step_with_audit : ScheduleKind::step;
  run(last_step_);
  const Verdict& verdict = record<Verdict>(Content::verdict);
  return {.loss = verdict.loss, .gradient_norm = verdict.gradient_norm, .learning_rate = learning_rate,
          .valid_tokens = record<TokenCount>(Content::tokens).valid_tokens, .applied = verdict.go != 0};
}

void Trainer::validate_round(int first, ExactSum& loss, std::int64_t& valid_tokens) {
  first_validation_ = first;
  run(ScheduleKind::validate);
  finish();
  const StepSums& sums = record<StepSums>(Content::sums);
  loss.merge(sums.loss);
  valid_tokens += sums.valid_tokens;
}

int Trainer::choose_next(std::span<const int> tokens) {
  sample_tokens_.assign(tokens.begin(), tokens.end());
  next_values_.position = static_cast<std::int64_t>(tokens.size()) - 1;
  run(ScheduleKind::sample);
  return record<std::int32_t>(Content::choice);
}

void Trainer::finish() {
  executor_->wait();
  running_ = false;
}

void Trainer::close() {
  // What step carried is not released by any later update: peers may still gather it.
  on_comm_stream([](Communicator& communicator) { communicator.barrier(); });
}

void Trainer::on_comm_stream(const std::function<void(Communicator&)>& task) {
  device_->submit(comm_stream, [this, &task] { task(communicator_); });
  device_->synchronize();
  running_ = false;
}

std::vector<std::string> Trainer::gather_text(const std::string& own) {
  std::vector<std::string> all;
  on_comm_stream([&](Communicator& communicator) { all = all_gather(communicator, own); });
  return all;
}

StallTime Trainer::stalls() {
  const std::size_t taken = communicator_.take_waits(waits_);
  late_.clear();
  for (std::size_t i = 0; i < taken; ++i)
    late_.push_back({executor_->since_made_us(waits_[i].start), executor_->since_made_us(waits_[i].end)});
  return executor_->stalls(index_of(last_step_), late_);
}

// What outlives schedules lies where init or load has it.
const Buffer& Trainer::buffer_of(Content content, std::optional<std::size_t> unit, std::size_t state) const {
  const std::vector<Buffer>& buffers = programs_.run.schedules.front().buffers;
  const auto found = std::find_if(buffers.begin(), buffers.end(), [&](const Buffer& b) {
    return b.content == content && b.state == state && (!unit || b.unit == static_cast<std::int32_t>(*unit));
  });
  ensure(found != buffers.end(), "the run has no buffer for {}", name(content));
  return *found;
}

template <typename Record>
Record& Trainer::record(Content content) const {
  return *reinterpret_cast<Record*>(arena_ + *buffer_of(content).offset);
}

// Where this rank holds all, it speaks for its slice; what lies behind the last tensor is not there then.
View Trainer::slice_of(const Buffer& buffer) const {
  const Elems elems = layouts_[static_cast<std::size_t>(*buffer.unit)].slice_elems;
  const Elems first = settings_.spec.zero == 0 ? programs_.spec.rank * elems : 0;
  return {arena_ + *buffer.offset + first * size_bytes(buffer.type), buffer.type, elems};
}

View Trainer::master(std::size_t unit) { return slice_of(buffer_of(Content::master, unit)); }

std::vector<std::vector<std::uint64_t>> Trainer::hash_weights() {
  finish();
  std::vector<std::vector<std::uint64_t>> hashes;
  for (std::size_t u = 0; u < layouts_.size(); ++u)
    if (!layouts_[u].is_empty()) hash_blocks(layouts_[u], programs_.spec.rank, master(u), hashes.emplace_back());
  return hashes;
}

std::vector<std::vector<std::uint64_t>> Trainer::hash_states() {
  finish();
  std::vector<std::vector<std::uint64_t>> hashes;
  for (std::size_t u = 0; u < layouts_.size(); ++u) {
    // Frozen tensors have none.
    if (layouts_[u].is_empty() || programs_.model.units[u].kind == UnitKind::frozen) continue;
    for (std::size_t k = 0; k < programs_.spec.states.size(); ++k)
      hash_blocks(layouts_[u], programs_.spec.rank, slice_of(buffer_of(Content::state, u, k)), hashes.emplace_back());
  }
  return hashes;
}

Timeline Trainer::timeline(ScheduleKind schedule) {
  finish();
  return executor_->timeline(index_of(schedule));
}

}  // namespace trireme
