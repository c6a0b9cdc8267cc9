// What every device promises, on both devices.

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/device/device.h"
#include "runtime/kernels/cpu/threads.h"

namespace trireme {
namespace {

using namespace std::chrono_literals;

std::vector<std::unique_ptr<Device>> all_devices(int streams) {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(make_cpu_device(streams, 2));
  devices.push_back(make_checked_device(streams, 2, {.seed = 7, .max_delay_us = 100}));
  return devices;
}

void spin_until(const std::atomic<bool>& flag) {
  while (!flag) std::this_thread::sleep_for(50us);
}

}  // namespace

TEST_CASE("device: tasks of a stream run in submission order, also past the length of the ring", "[device]") {
  const auto device = make_cpu_device(1, 1);
  std::vector<int> ran;
  ran.reserve(30000);
  for (int i = 0; i < 30000; ++i) device->submit(0, [&ran, i] { ran.push_back(i); });
  device->synchronize();
  REQUIRE(ran.size() == 30000);
  for (int i = 0; i < 30000; ++i) REQUIRE(ran[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("device: a wait holds back later tasks until the record is reached", "[device]") {
  for (const auto& device : all_devices(2)) {
    const Device::Event event = device->create_event();
    std::atomic<bool> go{false};
    int value = 0, seen = -1;
    device->submit(0, [&] { spin_until(go), value = 5; });
    device->record(0, event);
    device->wait(1, event);
    device->submit(1, [&] { seen = value; });
    std::this_thread::sleep_for(2ms);
    go = true;
    device->synchronize();
    CHECK(seen == 5);
  }
}

TEST_CASE("device: a wait means the last record submitted before it, not a later one", "[device]") {
  for (const auto& device : all_devices(3)) {
    const Device::Event event = device->create_event();
    std::atomic<bool> go{false}, ran{false};
    device->submit(0, [] {});
    device->record(0, event);
    device->wait(1, event);
    device->submit(1, [&] { ran = true; });
    device->submit(2, [&] { spin_until(go); });
    device->record(2, event);  // the same event again, on a stream that stands still
    spin_until(ran);
    go = true;
    device->synchronize();
    CHECK(ran);
  }
}

TEST_CASE("device: a wait for an event that was never recorded passes", "[device]") {
  for (const auto& device : all_devices(2)) {
    const Device::Event event = device->create_event();
    bool ran = false;
    device->wait(1, event);
    device->submit(1, [&] { ran = true; });
    device->record(0, event);  // nothing was submitted to stream 0
    device->wait(1, event);
    device->synchronize(event);
    device->synchronize();
    CHECK(ran);
  }
}

TEST_CASE("device: the host waits for one event without waiting for what follows it", "[device]") {
  for (const auto& device : all_devices(1)) {
    const Device::Event event = device->create_event();
    std::atomic<bool> go{false};
    int value = 0;
    device->submit(0, [&] { value = 1; });
    device->record(0, event);
    device->submit(0, [&] { spin_until(go); });
    device->synchronize(event);
    CHECK(value == 1);
    go = true;
    device->synchronize();
  }
}

TEST_CASE("device: after a failed task no later one runs, waits pass, the first error is rethrown", "[device]") {
  for (const auto& device : all_devices(2)) {
    const Device::Event event = device->create_event();
    std::atomic<bool> go{false};
    int ran = 0;
    device->submit(0, [&] { spin_until(go); });
    device->submit(0, [] { throw Error(ErrorKind::numeric, "first"); });
    device->submit(0, [&] { ++ran; });
    device->record(0, event);
    device->wait(1, event);
    device->submit(1, [&] { ++ran; });
    device->submit(1, [] { throw std::runtime_error("second"); });
    go = true;
    for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH(device->synchronize(), "first");
    CHECK_THROWS_WITH(device->synchronize(event), "first");
    device->submit(0, [&] { ++ran; });
    CHECK_THROWS_AS(device->synchronize(), Error);
    CHECK(ran == 0);
  }
}

TEST_CASE("device: a stream that waits for a failed one is let go", "[device]") {
  const auto device = make_cpu_device(3, 1);
  const Device::Event never = device->create_event();
  std::atomic<bool> begun{false}, go{false}, end{false};
  device->submit(0, [&] {
    begun = true;
    spin_until(end);
  });
  spin_until(begun);  // a task that has not begun would be skipped
  device->record(0, never);
  device->wait(1, never);  // sleeps when stream 2 fails
  const Device::Event passed = device->create_event();
  device->record(1, passed);
  device->submit(2, [&] { spin_until(go), throw std::runtime_error("stop"); });
  go = true;
  std::thread ends([&] { std::this_thread::sleep_for(2ms), end = true; });
  CHECK_THROWS_WITH(device->synchronize(passed), "stop");
  CHECK(end);  // rethrown only when no task runs any more
  ends.join();
}

TEST_CASE("device: the destructor ends with tasks queued, with waits open, and after a failure", "[device]") {
  for (const bool fails : {false, true}) {
    int ran = 0;
    for (auto& device : all_devices(2)) {
      const Device::Event event = device->create_event();
      std::atomic<bool> started{false};
      device->submit(0, [&] {
        started = true;
        std::this_thread::sleep_for(2ms);
        if (fails) throw std::runtime_error("stop");
      });
      device->submit(0, [&] { ++ran; });
      device->record(0, event);
      device->wait(1, event);
      spin_until(started);
      device.reset();
    }
    CHECK(ran == 0);
  }
}

TEST_CASE("device: the idle hook runs while its stream has nothing to do or waits, and on its thread", "[device]") {
  for (const auto& device : all_devices(2)) {
    std::atomic<int> calls{0};
    std::thread::id stream, hook;
    device->submit(1, [&] { stream = std::this_thread::get_id(); });
    device->synchronize();
    device->set_idle(1, [&] { hook = std::this_thread::get_id(), ++calls; });
    while (calls < 5) std::this_thread::sleep_for(50us);

    const Device::Event event = device->create_event();
    std::atomic<bool> go{false};
    device->submit(0, [&] { spin_until(go); });
    device->record(0, event);
    device->wait(1, event);
    for (const int before = calls; calls < before + 5;) std::this_thread::sleep_for(50us);
    go = true;
    device->synchronize();
    device->set_idle(1, nullptr);
    const int after = calls;
    std::this_thread::sleep_for(3ms);
    CHECK(calls == after);
    CHECK(hook == stream);
  }
}

TEST_CASE("device: an idle hook that throws fails the device", "[device]") {
  const auto device = make_cpu_device(1, 1);
  std::atomic<int> calls{0};
  device->set_idle(0, [&] { ++calls, throw std::runtime_error("transport"); });
  while (calls == 0) std::this_thread::sleep_for(50us);
  std::this_thread::sleep_for(1ms);
  CHECK_THROWS_WITH(device->synchronize(), "transport");
  CHECK(calls == 1);
}

TEST_CASE("device: streams flush denormals; stream 0 has the threads, the others one", "[device]") {
  for (const auto& device : all_devices(2)) {
    float products[2] = {1, 1};
    int threads[2] = {0, 0};
    for (int s = 0; s < 2; ++s)
      device->submit(s, [&, s] {
        volatile float small = 1e-30f;
        products[s] = small * small * 1e30f;
        volatile float tiny = 1e-38f;
        products[s] += tiny * 0.01f;
        threads[s] = cpu::kernel_threads();
      });
    device->synchronize();
    CHECK(products[0] == 0.0f);
    CHECK(products[1] == 0.0f);
    CHECK(threads[0] == 2);
    CHECK(threads[1] == 1);
  }
}

TEST_CASE("device: an idle device uses almost no processor time", "[device]") {
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  const auto device = make_cpu_device(2, 1);
  std::atomic<int> calls{0};
  device->set_idle(1, [&] { ++calls; });
  const double before = used();
  std::this_thread::sleep_for(300ms);
  CHECK(used() - before < 0.06);  // seconds: a fifth of a core
  CHECK(calls > 10);
}

TEST_CASE("device: events pass between streams without long pauses", "[device]") {
  const auto device = make_cpu_device(2, 1);
  const Device::Event to_comm = device->create_event(), to_compute = device->create_event();
  constexpr int rounds = 2000;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) {
    device->wait(0, to_compute);
    device->submit(0, [] {});
    device->record(0, to_comm);
    device->wait(1, to_comm);
    device->submit(1, [] {});
    device->record(1, to_compute);
  }
  device->synchronize();
  const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  WARN("one hand-over between streams takes " << us / (2 * rounds) << " us");
  CHECK(us / (2 * rounds) < 2000);
}

}  // namespace trireme
