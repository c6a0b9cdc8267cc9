#include "runtime/device/cpu/cpu_device.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/memory_refusal.h"
#include "runtime/kernels/cpu/threads.h"

namespace trireme {
namespace cpu {
namespace {

using std::chrono::microseconds;
constexpr microseconds first_pause{20}, longest_pause{500};  // between two calls of an idle hook

}  // namespace

CpuDevice::CpuDevice(int streams, int threads, Pages pages) : pages_(pages) {
  require(streams > 0 && threads > 0, ErrorKind::config, "a device needs streams and threads, got {} and {}", streams,
          threads);
  for (int s = 0; s < streams; ++s) workers_.push_back(std::make_unique<Worker>());
  try {
    for (int s = 0; s < streams; ++s) start(worker(s), s == 0 ? threads : 1);
  } catch (const std::system_error& error) {
    const bool no_stack = thread_stack_refused();  // before others give theirs back
    stop();
    if (no_stack) throw memory_refused("the stack of one more thread");
    throw Error(ErrorKind::device,
                fmt::format("no thread for a stream: {}; raise ulimit -u or the cgroup's pids.max", error.what()));
  }
}

CpuDevice::~CpuDevice() { stop(); }

void CpuDevice::start(Worker& self, int threads) {
  self.thread = std::thread([this, &self, threads] {
    set_float_mode();
    set_kernel_threads(threads);
    prctl(PR_SET_TIMERSLACK, 1000UL);  // ns; the usual 50 us are longer than the first pause
    work(self);
  });
}

// Threads that were never started have nothing to end.
void CpuDevice::stop() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
    wake_all();
  }
  for (const std::unique_ptr<Worker>& ended : workers_)
    if (ended->thread.joinable()) ended->thread.join();
}

std::byte* CpuDevice::allocate(Bytes bytes) { return arenas_.emplace_back(bytes, pages_).data(); }

void CpuDevice::populate(std::byte* data) {
  for (Arena& arena : arenas_)
    if (arena.data() == data) return arena.populate();
  ensure(false, "an arena to populate is none of this device's");
}

Device::Event CpuDevice::create_event() {
  events_.emplace_back();
  return static_cast<Event>(events_.size()) - 1;
}

void CpuDevice::submit(Stream stream, Task task) {
  ensure(task != nullptr, "an empty task was submitted to stream {}", stream);
  give(stream, {.task = std::move(task)});
}

void CpuDevice::record(Stream stream, Event event) {
  events_.at(static_cast<std::size_t>(event)) = {stream, worker(stream).given};
}

void CpuDevice::wait(Stream stream, Event event) {
  const Place place = events_.at(static_cast<std::size_t>(event));
  if (place.entries > 0 && place.stream != stream) give(stream, {.wait_for = place});
}

void CpuDevice::synchronize(Event event) {
  const Place place = events_.at(static_cast<std::size_t>(event));
  Lock lock(mutex_);
  await(lock, host_, {&worker(place.stream).completed, place.entries, true});
  if (failure_) drain(lock);
}

void CpuDevice::synchronize() {
  Lock lock(mutex_);
  drain(lock);
}

void CpuDevice::set_idle(Stream stream, std::function<void()> idle) {
  Waiter& waiter = worker(stream).waiter;
  const bool has_idle = idle != nullptr;
  {
    const Lock lock(waiter.idle_mutex);
    waiter.idle = std::move(idle);
  }
  const Lock lock(mutex_);
  waiter.has_idle = has_idle;
  waiter.wake.notify_one();
}

void CpuDevice::give(Stream stream, Entry entry) {
  Lock lock(mutex_);
  Worker& taker = worker(stream);
  // When full, wait for half a ring, so that host and worker do not wake each other for every entry.
  if (taker.given - taker.completed == ring_entries)
    await(lock, host_, {&taker.completed, taker.given - ring_entries / 2});
  taker.ring[taker.given % ring_entries] = std::move(entry);
  advance(taker.given);
}

void CpuDevice::work(Worker& self) {
  Lock lock(mutex_);
  while (true) {
    await(lock, self.waiter, {&self.given, self.completed + 1});
    if (stopping_) return;
    Entry& entry = self.ring[self.completed % ring_entries];
    if (entry.task)
      run(lock, std::move(entry.task));
    else
      await(lock, self.waiter, {&worker(entry.wait_for.stream).completed, entry.wait_for.entries, true});
    if (stopping_) return;
    advance(self.completed);
  }
}

// Takes the task by value: what it holds is let go before the entry counts as complete.
void CpuDevice::run(Lock& lock, Task task) {
  const bool skip = failure_ != nullptr;
  lock.unlock();
  try {
    if (!skip) task();
    task = nullptr;
    lock.lock();
  } catch (...) {
    lock.lock();
    keep_failure();
  }
}

bool CpuDevice::over(const Goal& goal) const {
  return *goal.counter >= goal.target || stopping_ || (goal.or_failure && failure_);
}

void CpuDevice::await(Lock& lock, Waiter& waiter, const Goal& goal) {
  for (microseconds pause = first_pause; !over(goal); pause = std::min(2 * pause, longest_pause)) {
    const bool with_idle = waiter.has_idle && !failure_;
    if (with_idle) call_idle(lock, waiter);
    if (with_idle && over(goal)) return;
    waiter.goal = goal;
    if (with_idle)
      waiter.wake.wait_for(lock, pause);
    else
      waiter.wake.wait(lock);
    waiter.goal = {};
  }
}

void CpuDevice::call_idle(Lock& lock, Waiter& waiter) {
  lock.unlock();
  try {
    const Lock running(waiter.idle_mutex);
    if (waiter.idle) waiter.idle();
  } catch (...) {
    lock.lock();
    keep_failure();
    return;
  }
  lock.lock();
}

void CpuDevice::advance(Count& counter) {
  ++counter;
  const auto wake_if_met = [&](Waiter& waiter) {
    if (waiter.goal.counter == &counter && counter >= waiter.goal.target) waiter.wake.notify_one();
  };
  wake_if_met(host_);
  for (const std::unique_ptr<Worker>& each : workers_) wake_if_met(each->waiter);
}

void CpuDevice::keep_failure() {
  if (!failure_) failure_ = std::current_exception();
  wake_all();
}

void CpuDevice::wake_all() {
  host_.wake.notify_one();
  for (const std::unique_ptr<Worker>& each : workers_) each->waiter.wake.notify_one();
}

void CpuDevice::drain(Lock& lock) {
  for (const std::unique_ptr<Worker>& each : workers_) await(lock, host_, {&each->completed, each->given});
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace cpu

std::unique_ptr<Device> make_cpu_device(int streams, int threads, Pages pages) {
  return std::make_unique<cpu::CpuDevice>(streams, threads, pages);
}

}  // namespace trireme
