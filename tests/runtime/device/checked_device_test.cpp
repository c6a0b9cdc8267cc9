#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <latch>
#include <thread>

#include "runtime/device/device.h"

namespace trireme {
namespace {

// One stream writes, the other reads, with or without the event between them. Atomic, so that the planted fault is a
// wrong order and not a data race. Both streams are held until all is submitted, so that a host thread which is put
// aside in between does not decide the order.
int read_after_write(std::uint64_t seed, bool with_wait) {
  const auto device = make_checked_device(2, 1, {.seed = seed, .max_delay_us = 500});
  const Device::Event event = device->create_event();
  std::atomic<int> value{0};
  int seen = -1;
  std::latch submitted(1);
  for (const Device::Stream stream : {0, 1}) device->submit(stream, [&] { submitted.wait(); });
  for (int i = 0; i < 3; ++i) device->submit(0, [] {});
  device->submit(0, [&] { value = 1; });
  device->record(0, event);
  if (with_wait) device->wait(1, event);
  device->submit(1, [&] { seen = value; });
  submitted.count_down();
  device->synchronize();
  return seen;
}

}  // namespace

TEST_CASE("checked device: a planted missing wait shows, the same program with its wait does not", "[device]") {
  int caught = 0;
  // A reader that finds no core for longer than the writer's delays comes too late to show it; not in every round.
  for (int round = 0; round < 5 && caught < 20; ++round) {
    caught = 0;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      caught += read_after_write(seed, false) == 0;
      REQUIRE(read_after_write(seed, true) == 1);
    }
  }
  CHECK(caught >= 20);
}

TEST_CASE("checked device: bytes read before they are written, and after their buffer's death, are NaN", "[device]") {
  const auto device = make_checked_device(1, 1, {});
  auto* data = device->allocate(64);
  float unwritten = 0, written = 0, dead = 0;
  const auto first = [data] { return *reinterpret_cast<float*>(data); };
  device->on_birth(0, data, 64);
  device->submit(0, [&] { unwritten = first(); });
  device->submit(0, [&] { *reinterpret_cast<float*>(data) = 3, written = first(); });
  device->on_death(0, data, 64);
  device->submit(0, [&] { dead = first(); });
  device->synchronize();
  CHECK(std::isnan(unwritten));
  CHECK(written == 3.0f);
  CHECK(std::isnan(dead));
}

TEST_CASE("checked device: without poison and delays it changes nothing", "[device]") {
  const auto device = make_checked_device(1, 1, {.poison = false, .max_delay_us = 0});
  auto* data = device->allocate(64);
  device->on_birth(0, data, 64);
  device->on_death(0, data, 64);
  device->synchronize();
  for (int i = 0; i < 64; ++i) CHECK(data[i] == std::byte{0});
}

TEST_CASE("checked device: the length of the delays depends on the seed", "[device]") {
  const auto milliseconds = [](std::uint64_t seed) {
    const auto device = make_checked_device(1, 1, {.seed = seed, .max_delay_us = 4000});
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; ++i) device->submit(0, [] {});
    device->synchronize();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  // A busy machine only adds: of several runs the shortest is nearest to the delays.
  std::array<double, 6> shortest;
  shortest.fill(1e9);
  double least = 0, most = 0;
  for (int runs = 0; runs < 3 || (runs < 100 && most <= least + 0.5); ++runs) {
    for (std::uint64_t seed = 0; seed < shortest.size(); ++seed)
      shortest[seed] = std::min(shortest[seed], milliseconds(seed));
    least = *std::min_element(shortest.begin(), shortest.end());
    most = *std::max_element(shortest.begin(), shortest.end());
  }
  CHECK(most > least + 0.5);
}

}  // namespace trireme
