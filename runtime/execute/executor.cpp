#include "runtime/execute/executor.h"
#include "runtime/base/memory_refusal.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/execute/lifetimes.h"
#include "runtime/execute/op_error.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// The op that failed and its neighbours in the program.
std::string around(const Schedule& schedule, OpId op) {
  std::string lines;
  const OpId last = std::min<OpId>(op + 2, static_cast<OpId>(schedule.ops.size()) - 1);
  for (OpId i = std::max(0, op - 2); i <= last; ++i)
    lines += fmt::format("\n  {} {}", i == op ? ">" : " ", describe(schedule, i));
  return lines;
}

std::size_t count_waits(const Schedule& schedule) {
  std::size_t waits = 0;
  for (const Op& op : schedule.ops) waits += op.waits.size();
  return waits;
}

}  // namespace

struct Executor::BoundOp {
  OpContext context;
  const Handler* handler;
  Program* program;
  std::span<const Device::Event> waits;  // of the program's
  std::optional<Device::Event> records;

  void execute() const;
  [[noreturn]] void fail(const Error& error) const;
};

struct Executor::Program {
  const Schedule* schedule;
  std::span<OpObserver* const> observers;
  Executor* executor;
  std::vector<BoundOp> ops;
  std::vector<Device::Event> waits;  // of all ops, in order
  Lifetimes lifetimes;               // empty where the device does not watch
  Timeline timeline;                 // since the executor was made
  Clock::time_point made;
};

void Executor::BoundOp::execute() const {
  Timeline::Span& span = program->timeline.ops[static_cast<std::size_t>(context.id)];
  span.start_us = us_since(program->made);
  try {
    for (OpObserver* observer : program->observers) observer->before(context.schedule, context.id);
    (*handler)(context);
    for (OpObserver* observer : program->observers) observer->after(context.schedule, context.id);
  } catch (const std::exception& error) {
    fail(as_error(error));
  }
  span.end_us = us_since(program->made);
}

void Executor::BoundOp::fail(const Error& error) const {
  program->executor->fail(
      {error.kind(),
       fmt::format("rank {}, schedule {}, {}: {}{}", context.schedule.rank, name(context.schedule.kind),
                   describe(context.schedule, context.id), error.what(), around(context.schedule, context.id)),
       error.where()});
}

void Executor::fail(const Error& error) {
  std::exception_ptr first;
  {
    const std::lock_guard lock(failure_mutex_);
    if (!first_failure_) first_failure_ = std::make_exception_ptr(OpError(error));
    first = first_failure_;
  }
  if (on_failure_) on_failure_();
  std::rethrow_exception(first);
}

Executor::Executor(Device& device, const Arenas& arenas, std::span<const Schedule* const> schedules,
                   const OpTable& table, const RunWatch& watch)
    : device_(device),
      arenas_(arenas),
      observers_(watch.observers.begin(), watch.observers.end()),
      on_failure_(watch.on_failure),
      compute_end_(device.create_event()),
      made_(Clock::now()) {
  for (const Schedule* schedule : schedules) bind(*schedule, table);
}

Executor::~Executor() = default;

void Executor::bind(const Schedule& schedule, const OpTable& table) {
  programs_.push_back(std::make_unique<Program>());
  Program& program = *programs_.back();
  program.schedule = &schedule;
  program.executor = this;
  program.made = made_;
  program.observers = observers_;
  program.timeline.ops.resize(schedule.ops.size());
  for (const Buffer& buffer : schedule.buffers) {
    if (buffer.elems == 0) continue;
    ensure(buffer.offset.has_value(), "buffer {} of schedule {} was never placed", buffer.name, name(schedule.kind));
    ensure(arenas_.hold(buffer), "buffer {} of schedule {}: bytes {} to {} lie outside of the {} arena of {} bytes",
           buffer.name, name(schedule.kind), *buffer.offset, *buffer.offset + buffer.bytes(), name(buffer.space),
           arenas_.of(buffer.space).size());
  }

  std::vector<std::optional<Device::Event>> events(static_cast<std::size_t>(schedule.event_count));
  for (const BoundaryEvent& boundary : schedule.boundary_events) {
    auto found = std::find_if(boundary_events_.begin(), boundary_events_.end(),
                              [&](const auto& named) { return named.first == boundary.name; });
    if (found == boundary_events_.end())
      found = boundary_events_.insert(found, {boundary.name, device_.create_event()});
    events[static_cast<std::size_t>(boundary.event)] = found->second;
  }
  for (std::optional<Device::Event>& event : events)
    if (!event) event = device_.create_event();

  if (device_.watches_buffers()) program.lifetimes = find_lifetimes(schedule);
  program.ops.reserve(schedule.ops.size());
  program.waits.reserve(count_waits(schedule));
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id) {
    const auto i = static_cast<std::size_t>(id);
    const Op& op = schedule.ops[i];
    const Handler& handler = table.find(op.kind);
    ensure(handler != nullptr, "no handler for {} of schedule {}", describe(schedule, id), name(schedule.kind));
    BoundOp bound{.context = {schedule, id, arenas_}, .handler = &handler, .program = &program};
    const std::size_t first_wait = program.waits.size();
    for (EventId event : op.waits) program.waits.push_back(*events[static_cast<std::size_t>(event)]);
    bound.waits = std::span(program.waits).subspan(first_wait);
    if (op.records) bound.records = events[static_cast<std::size_t>(*op.records)];
    program.ops.push_back(std::move(bound));
  }
}

Bytes Executor::bound_bytes(const Schedule& schedule) {
  constexpr std::size_t device_event_bytes = 16;
  return static_cast<Bytes>(schedule.ops.size() * (sizeof(BoundOp) + sizeof(Timeline::Span)) +
                            count_waits(schedule) * sizeof(Device::Event) +
                            static_cast<std::size_t>(schedule.event_count) * device_event_bytes);
}

void Executor::run(std::size_t index) {
  Program& program = *programs_[index];
  const auto none = std::vector<BufferId>();
  const auto of = [&](const std::vector<std::vector<BufferId>>& lists,
                      const BoundOp& op) -> const std::vector<BufferId>& {
    return lists.empty() ? none : lists[static_cast<std::size_t>(op.context.id)];
  };
  for (const BoundOp& op : program.ops) {
    const auto stream = static_cast<Device::Stream>(op.context.op().stream);
    for (Device::Event event : op.waits) device_.wait(stream, event);
    for (BufferId b : of(program.lifetimes.births, op))
      device_.on_birth(stream, op.context.address(b), op.context.buffer(b).bytes());
    device_.submit(stream, [bound = &op] { bound->execute(); });
    for (BufferId b : of(program.lifetimes.deaths, op))
      device_.on_death(stream, op.context.address(b), op.context.buffer(b).bytes());
    if (op.records) device_.record(stream, *op.records);
  }
  device_.record(static_cast<Device::Stream>(StreamId::compute), compute_end_);
}

void Executor::wait() { device_.synchronize(); }

void Executor::wait_compute() { device_.synchronize(compute_end_); }

Timeline Executor::timeline(std::size_t index) const {
  Timeline timeline = programs_[index]->timeline;
  double start_us = timeline.end_us();
  for (const Timeline::Span& span : timeline.ops) start_us = std::min(start_us, span.start_us);
  for (Timeline::Span& span : timeline.ops) span = {span.start_us - start_us, span.end_us - start_us};
  return timeline;
}

double Executor::since_made_us(Clock::time_point time) const {
  return std::chrono::duration<double, std::micro>(time - made_).count();
}

StallTime Executor::stalls(std::size_t index, std::span<const Timeline::Span> late) const {
  const Program& program = *programs_[index];
  return split_stalls(compute_stalls(*program.schedule, program.timeline), late);
}

}  // namespace trireme
