#pragma once
// The device of a CPU rank: a stream is a FIFO worker thread, an event a place in a stream.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/device/cpu/arena.h"
#include "runtime/device/device.h"

namespace trireme::cpu {

/// Each stream counts the entries it was given and the entries it has completed. A record is a count of given entries,
/// kept by the host thread; waiting for it is waiting until that many are completed.
///
/// Memory   entries lie in a ring of fixed length: nothing is allocated after construction (but by a task with a large
///          capture). The host thread blocks while the ring is full.
/// Failure  synchronize() lets running tasks end, then rethrows. The idle hook is not called any more.
/// End      the destructor waits for running tasks and drops those that have not begun.
class CpuDevice final : public Device {
 public:
  CpuDevice(int streams, int threads, Pages pages);
  ~CpuDevice() override;

  std::byte* allocate(Bytes bytes) override;
  void populate(std::byte* arena) override;
  int memory_file() const override { return arenas_.empty() ? -1 : arenas_.back().file(); }
  Event create_event() override;
  void submit(Stream stream, Task task) override;
  void record(Stream stream, Event event) override;
  void wait(Stream stream, Event event) override;
  void synchronize(Event event) override;
  void synchronize() override;
  void set_idle(Stream stream, std::function<void()> idle) override;

 private:
  static constexpr std::uint64_t ring_entries = 8192;
  using Count = std::uint64_t;
  using Lock = std::unique_lock<std::mutex>;

  /// A moment in the life of a stream: it has completed `entries`; 0 is before everything.
  struct Place {
    Stream stream = 0;
    Count entries = 0;
  };
  /// A task, or without one a wait.
  struct Entry {
    Task task;
    Place wait_for;
  };
  /// What a thread waits for: that `counter` has grown to `target`; or, if asked, that the device has failed.
  struct Goal {
    const Count* counter = nullptr;
    Count target = 0;
    bool or_failure = false;
  };
  /// A thread that can sleep: a stream's or the host's.
  struct Waiter {
    std::condition_variable wake;
    Goal goal;  // while it sleeps
    bool has_idle = false;
    std::mutex idle_mutex;  // held while `idle` runs or changes
    std::function<void()> idle;
  };
  struct Worker {
    std::vector<Entry> ring = std::vector<Entry>(ring_entries);
    Count given = 0, completed = 0;
    Waiter waiter;
    std::thread thread;
  };

  Worker& worker(Stream stream) { return *workers_.at(static_cast<std::size_t>(stream)); }
  void start(Worker& self, int threads);
  void stop();
  void give(Stream stream, Entry entry);
  void work(Worker& self);
  void run(Lock& lock, Task task);
  bool over(const Goal& goal) const;
  void await(Lock& lock, Waiter& waiter, const Goal& goal);
  void call_idle(Lock& lock, Waiter& waiter);
  void advance(Count& counter);
  void keep_failure();
  void wake_all();
  void drain(Lock& lock);

  std::mutex mutex_;  // guards all below, but for the ring entry that its worker takes
  std::vector<std::unique_ptr<Worker>> workers_;
  Waiter host_;
  std::vector<Place> events_;
  Pages pages_;
  std::vector<Arena> arenas_;
  std::exception_ptr failure_;
  bool stopping_ = false;
};

}  // namespace trireme::cpu
