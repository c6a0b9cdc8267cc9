#include "launch/train/program_runner.h"

#include <algorithm>
#include <utility>

#include "comm/comm_ops.h"
#include "launch/plan/process_memory.h"
#include "models/hf/load_ops.h"
#include "models/model_ops.h"
#include "optim/check_finite.h"
#include "optim/gradient_hash.h"
#include "shard/planned_traffic.h"

namespace trireme {
namespace {

constexpr auto comm_stream = static_cast<Device::Stream>(StreamId::comm);

}  // namespace

ProgramRunner::ProgramRunner(const TrainerSettings& settings, PlannedPrograms planned, Communicator& communicator,
                             RunnerParts parts)
    : communicator_(communicator), programs_(std::move(planned.programs)), device_(std::move(parts.device)) {
  const Bytes arena_bytes = std::max<Bytes>(planned.plan.device.peak_bytes, 1);
  planned.plan = {};
  give_back_free_heap();
  arena_ = device_->allocate(arena_bytes);
  if (device_->memory_file() >= 0)
    communicator.share({.data = arena_, .bytes = arena_bytes, .file = device_->memory_file()});
  if (communicator.needs_progress()) device_->set_idle(comm_stream, [&communicator] { communicator.progress(); });

  layouts_.reserve(programs_.model.units.size());
  for (const UnitSpec& unit : programs_.model.units) layouts_.emplace_back(unit, communicator.size());
  table_ = make_table(settings, parts.edit_table);
  std::vector<const Schedule*> schedules;
  for (const Schedule& schedule : programs_.run.schedules) {
    schedules.push_back(&schedule);
    const PlannedTraffic traffic = planned_traffic(schedule, programs_.spec.nodes);
    planned_.push_back({.in_place = traffic.node(), .messages = traffic.elsewhere()});
  }
  executor_ = std::make_unique<Executor>(
      *device_, Arenas{.device = {arena_, static_cast<std::size_t>(arena_bytes)}}, schedules, table_,
      RunWatch{.observers = parts.observers, .on_failure = [&communicator] { communicator.abort(); }});
  waits_.resize(WaitLog::capacity);
  late_.reserve(WaitLog::capacity);
  submit(settings.load ? ScheduleKind::load : ScheduleKind::init);
}

OpTable ProgramRunner::make_table(const TrainerSettings& settings, const std::function<void(OpTable&)>& edit) const {
  const std::vector<UnitSpec>& units = programs_.model.units;
  OpTable table;
  register_comm_ops(table, communicator_);
  register_optim_ops(table, settings.optimizer, units, layouts_);
  register_hash_ops(table, layouts_);
  register_check_ops(table, layouts_);
  register_model_ops(table, make_model(settings.model, settings.sequence, settings.products), units, layouts_,
                     settings.seed);
  if (settings.folder) hf::register_load_ops(table, settings.folder, units, layouts_);
  if (edit) edit(table);
  return table;
}

ProgramRunner::~ProgramRunner() {
  if (running_) communicator_.abort();
}

std::size_t ProgramRunner::index_of(ScheduleKind schedule) const {
  const auto& list = programs_.run.schedules;
  const auto found = std::find_if(list.begin(), list.end(), [&](const Schedule& s) { return s.kind == schedule; });
  ensure(found != list.end(), "the run has no schedule {}", name(schedule));
  return static_cast<std::size_t>(found - list.begin());
}

void ProgramRunner::execute(ScheduleKind schedule) {
  const std::size_t index = index_of(schedule);
  executor_->run(index);
  planned_total_ += planned_[index];
}

void ProgramRunner::take_all_memory() {
  if (!has_all_memory_) device_->populate(arena_);
  has_all_memory_ = true;
}

void ProgramRunner::run(ScheduleKind schedule) {
  take_all_memory();
  submit(schedule);
}

void ProgramRunner::submit(ScheduleKind schedule) {
  running_ = true;
  // Carried gathers are those of any step.
  const bool enters =
      is_step(schedule) && !(last_ && is_step(*last_)) && programs_.run.find(ScheduleKind::enter) != nullptr;
  if (enters) execute(ScheduleKind::enter);
  execute(schedule);
  last_ = schedule;
  executor_->wait_compute();
}

void ProgramRunner::finish() {
  executor_->wait();
  running_ = false;
}

void ProgramRunner::close() {
  // What step carried is not released by any later update: peers may still gather it.
  on_comm_stream([](Communicator& communicator) { communicator.barrier(); });
}

void ProgramRunner::on_comm_stream(const std::function<void(Communicator&)>& task) {
  device_->submit(comm_stream, [this, &task] { task(communicator_); });
  device_->synchronize();
  running_ = false;
}

// What outlives schedules lies where init or load has it.
const Buffer& ProgramRunner::buffer_of(Content content, std::optional<std::size_t> unit, std::size_t state) const {
  const std::vector<Buffer>& buffers = programs_.run.schedules.front().buffers;
  const auto found = std::find_if(buffers.begin(), buffers.end(), [&](const Buffer& b) {
    return b.content == content && b.state == state && (!unit || b.unit == static_cast<std::int32_t>(*unit));
  });
  ensure(found != buffers.end(), "the run has no buffer for {}", name(content));
  return *found;
}

// Where this rank holds all, it speaks for its slice; what lies behind the last tensor is not there then.
View ProgramRunner::slice(Content content, std::size_t unit, std::size_t state) const {
  const Buffer& buffer = buffer_of(content, unit, state);
  const Elems elems = layouts_[unit].slice_elems;
  const Elems first = programs_.spec.zero == 0 ? programs_.spec.rank * elems : 0;
  return {arena_ + *buffer.offset + first * size_bytes(buffer.type), buffer.type, elems};
}

RankWire ProgramRunner::wire() {
  return {.step = planned_traffic(schedule(ScheduleKind::step), programs_.spec.nodes),
          .planned = planned_total_,
          .measured = over_ranks([](Communicator& communicator) { return communicator.traffic(); })};
}

StallTime ProgramRunner::stalls(ScheduleKind schedule) {
  const std::size_t taken = communicator_.take_waits(waits_);
  late_.clear();
  for (std::size_t i = 0; i < taken; ++i)
    late_.push_back({executor_->since_made_us(waits_[i].start), executor_->since_made_us(waits_[i].end)});
  return executor_->stalls(index_of(schedule), late_);
}

Timeline ProgramRunner::timeline(ScheduleKind schedule) {
  finish();
  return executor_->timeline(index_of(schedule));
}

}  // namespace trireme
