// Random programs of tasks, records and waits against the order that the contract gives them.

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/device/device.h"

namespace trireme {
namespace {

constexpr int streams = 3, events = 4;
using Clock = std::array<int, streams>;  // tasks of each stream that are complete for certain

/// Every task checks, when it runs, that at least as many tasks of each stream are complete as its clock says.
struct Program {
  std::array<std::atomic<int>, streams> complete{};
  std::atomic<int> violations{0};
  std::vector<Clock> expected;
  std::array<Clock, streams> next{};  // of the next task of each stream
  std::array<Clock, events> recorded{};

  void run(Device& device, const std::vector<Device::Event>& ids, const Random& random, int entries) {
    expected.reserve(static_cast<std::size_t>(entries));
    for (int i = 0; i < entries; ++i) {
      const auto draw = [&](int k, std::uint64_t bound) {
        return static_cast<int>(random.below(static_cast<std::uint64_t>(3 * i + k), bound));
      };
      const int stream = draw(0, streams), event = draw(1, events);
      Clock& clock = next[static_cast<std::size_t>(stream)];
      switch (draw(2, 4)) {
        case 0:
          device.record(stream, ids[static_cast<std::size_t>(event)]);
          recorded[static_cast<std::size_t>(event)] = clock;
          break;
        case 1:
          device.wait(stream, ids[static_cast<std::size_t>(event)]);
          for (std::size_t s = 0; s < streams; ++s)
            clock[s] = std::max(clock[s], recorded[static_cast<std::size_t>(event)][s]);
          break;
        default: submit(device, stream);
      }
    }
    device.synchronize();
  }

  void submit(Device& device, int stream) {
    expected.push_back(next[static_cast<std::size_t>(stream)]);
    const std::uint32_t id = static_cast<std::uint32_t>(expected.size()) - 1;
    device.submit(stream, [this, id, stream = static_cast<std::uint32_t>(stream)] {
      for (std::size_t s = 0; s < streams; ++s)
        if (complete[s].load(std::memory_order_relaxed) < expected[id][s]) ++violations;
      complete[stream].fetch_add(1, std::memory_order_relaxed);
    });
    ++next[static_cast<std::size_t>(stream)][static_cast<std::size_t>(stream)];
  }
};

}  // namespace

TEST_CASE("device: two thousand random programs run in an order that their events allow", "[device]") {
  const auto device = make_cpu_device(streams, 1);
  std::vector<std::unique_ptr<Program>> programs;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    std::vector<Device::Event> ids;
    for (int e = 0; e < events; ++e) ids.push_back(device->create_event());
    programs.push_back(std::make_unique<Program>());
    programs.back()->run(*device, ids, Random(seed, "program"), 60);
    REQUIRE(programs.back()->violations == 0);
    for (std::size_t s = 0; s < streams; ++s) REQUIRE(programs.back()->complete[s] == programs.back()->next[s][s]);
  }
}

TEST_CASE("device: random programs keep their order under random delays", "[device]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto device = make_checked_device(streams, 1, {.seed = seed, .max_delay_us = 100});
    std::vector<Device::Event> ids;
    for (int e = 0; e < events; ++e) ids.push_back(device->create_event());
    Program program;
    program.run(*device, ids, Random(seed, "program"), 300);
    REQUIRE(program.violations == 0);
  }
}

}  // namespace trireme
