#include "runtime/device/checked/checked_device.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace trireme {
namespace {

constexpr int poison_byte = 0xFF;  // NaN in every float type, -1 in every integer type

}  // namespace

CheckedDevice::CheckedDevice(std::unique_ptr<Device> device, int streams, const CheckedOptions& options)
    : device_(std::move(device)), options_(options) {
  for (int s = 0; s < streams; ++s)
    delays_.push_back({.random = Random(options.seed, fmt::format("delays of stream {}", s))});
}

void CheckedDevice::submit(Stream stream, Task task) {
  // The delay is a task of its own: wrapping the task in another would allocate.
  if (const std::uint64_t delay_us = next_delay_us(stream); delay_us > 0)
    device_->submit(stream, [delay_us] { std::this_thread::sleep_for(std::chrono::microseconds(delay_us)); });
  device_->submit(stream, std::move(task));
}

// Half of the tasks start at once: an order that appears only when one stream is far ahead needs many of them in a row.
std::uint64_t CheckedDevice::next_delay_us(Stream stream) {
  if (options_.max_delay_us <= 0) return 0;
  Delays& delays = delays_.at(static_cast<std::size_t>(stream));
  const std::uint64_t task = delays.tasks++;
  if (delays.random.below(2 * task, 2) == 0) return 0;
  return 1 + delays.random.below(2 * task + 1, static_cast<std::uint64_t>(options_.max_delay_us));
}

void CheckedDevice::poison(Stream stream, std::byte* data, Bytes bytes) {
  if (!options_.poison || bytes == 0) return;
  device_->submit(stream, [data, bytes] { std::memset(data, poison_byte, static_cast<std::size_t>(bytes)); });
}

std::unique_ptr<Device> make_checked_device(int streams, int threads, const CheckedOptions& options) {
  return std::make_unique<CheckedDevice>(make_cpu_device(streams, threads), streams, options);
}

}  // namespace trireme
