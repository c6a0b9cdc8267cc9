#pragma once
// The machine that runs a program: for each op, wait for its events, call its handler, record its event.

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/execute/op_observer.h"
#include "runtime/execute/op_table.h"
#include "runtime/schedule/schedule.h"
#include "runtime/schedule/timeline.h"

namespace trireme {

/// Who is told what runs.
struct RunWatch {
  std::span<OpObserver* const> observers = {};
  // At once, on the stream whose op threw: it must wake what waits for other ranks.
  std::function<void()> on_failure = {};
};

/// Runs the schedules of one rank over one arena per space.
///
/// Threads  one host thread calls it; handlers and observers run on the device's streams.
/// Failure  an op that throws stops the device; wait() throws its error, as an OpError, with rank, op and the
///          ops around it in front.
class Executor {
 public:
  /// Binds every op to its handler and its events. Schedules and arenas must outlive the executor, and the executor
  /// whatever it submitted: wait() first, or let the device go first. Errors: Error(bug) for an op without handler, a
  /// buffer without offset or one that its arena does not hold, before anything runs. What fails because of on_failure
  /// is told as the op that failed first.
  Executor(Device& device, const Arenas& arenas, std::span<const Schedule* const> schedules, const OpTable& table,
           const RunWatch& watch);
  ~Executor();

  /// Submits all ops of schedule number `index`; returns when the streams have taken them.
  void run(std::size_t index);
  /// Returns when every op submitted so far is complete.
  void wait();
  /// Returns when the compute stream has finished its last schedule; carried gathers may still run.
  void wait_compute();

  /// When the ops of the last run of a schedule ran, since its first op started; call after wait().
  Timeline timeline(std::size_t index) const;
  /// How long compute stood still in the last run of a schedule before ops that wait for events, by cause; `late`: when
  /// comm waited for peers that had not produced yet, by since_made_us(). Call after wait_compute().
  StallTime stalls(std::size_t index, std::span<const Timeline::Span> late) const;
  double since_made_us(std::chrono::steady_clock::time_point time) const;

  /// What binding a schedule takes of the heap, with the device's events; of a device that watches no buffers.
  static Bytes bound_bytes(const Schedule& schedule);

 private:
  struct BoundOp;
  struct Program;
  void bind(const Schedule& schedule, const OpTable& table);
  [[noreturn]] void fail(const Error& error);

  Device& device_;
  Arenas arenas_;
  std::vector<OpObserver*> observers_;
  std::function<void()> on_failure_;
  std::mutex failure_mutex_;
  std::exception_ptr first_failure_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::vector<std::pair<std::string, Device::Event>> boundary_events_;  // shared by all schedules, by name
  Device::Event compute_end_;
  std::chrono::steady_clock::time_point made_;
};

}  // namespace trireme
