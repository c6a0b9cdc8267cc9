#pragma once
// A CPU device that tries to break the program it runs.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/device/device.h"

namespace trireme {

/// Forwards everything to a device; adds tasks that poison bytes at birth and death, and tasks that sleep.
/// Delays are a function of (seed, stream, number of the task on its stream).
class CheckedDevice final : public Device {
 public:
  CheckedDevice(std::unique_ptr<Device> device, int streams, const CheckedOptions& options);

  std::byte* allocate(Bytes bytes) override { return device_->allocate(bytes); }
  void populate(std::byte* arena) override { device_->populate(arena); }
  int memory_file() const override { return device_->memory_file(); }
  Event create_event() override { return device_->create_event(); }
  void submit(Stream stream, Task task) override;
  void record(Stream stream, Event event) override { device_->record(stream, event); }
  void wait(Stream stream, Event event) override { device_->wait(stream, event); }
  void synchronize(Event event) override { device_->synchronize(event); }
  void synchronize() override { device_->synchronize(); }
  void set_idle(Stream stream, std::function<void()> idle) override { device_->set_idle(stream, std::move(idle)); }
  bool watches_buffers() const override { return true; }
  void on_birth(Stream stream, std::byte* data, Bytes bytes) override { poison(stream, data, bytes); }
  void on_death(Stream stream, std::byte* data, Bytes bytes) override { poison(stream, data, bytes); }

 private:
  /// The delays of one stream.
  struct Delays {
    Random random;
    std::uint64_t tasks = 0;
  };

  std::uint64_t next_delay_us(Stream stream);
  void poison(Stream stream, std::byte* data, Bytes bytes);

  std::unique_ptr<Device> device_;
  CheckedOptions options_;
  std::vector<Delays> delays_;
};

}  // namespace trireme
