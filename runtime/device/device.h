#pragma once
// Streams, events and an arena: what the executor needs of a machine. Semantics are those of CUDA's streams and events.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "runtime/base/units.h"

namespace trireme {

/// Who may map the pages of an arena: this process alone, or other processes of the node as well.
enum class Pages { own, shared };

/// A device of one rank. One host thread calls it; tasks run on the streams.
///
/// Order    tasks of a stream run one after the other in submission order. wait(s, e): later tasks of s start only
///          after the most recent record of e submitted before this call; passes at once if there was none.
/// Failure  a task that throws stops the device: no later task runs, waits pass, synchronize() rethrows the first
/// error.
class Device {
 public:
  using Stream = int;                  // 0 .. streams - 1
  using Event = int;                   // what create_event returned
  using Task = std::function<void()>;  // keep captures to 16 bytes: then submitting allocates nothing

  virtual ~Device() = default;

  /// The arena: `bytes` of zeroed memory at a 4 KiB boundary, addresses only: a page is taken when it is first touched.
  /// Owned by the device. Errors: Error(plan) when the machine has not that much.
  virtual std::byte* allocate(Bytes bytes) = 0;
  /// Takes every page of an arena that has not been touched yet; what was written stays. Errors: Error(plan).
  virtual void populate(std::byte* arena) = 0;
  /// The file whose first byte is the arena's, for other processes to map; -1 where the pages are this process's own.
  virtual int memory_file() const { return -1; }

  virtual Event create_event() = 0;
  virtual void submit(Stream stream, Task task) = 0;
  virtual void record(Stream stream, Event event) = 0;
  virtual void wait(Stream stream, Event event) = 0;
  /// The calling thread waits for the most recent record of `event`.
  virtual void synchronize(Event event) = 0;
  /// The calling thread waits until all streams are idle.
  virtual void synchronize() = 0;

  /// `idle` is called again and again, with back-off, while `stream` has nothing to run or waits for an event: a
  /// transport's progress. It runs on the stream's thread.
  virtual void set_idle(Stream stream, std::function<void()> idle) = 0;

  /// Whether it wants to be told of births and deaths.
  virtual bool watches_buffers() const { return false; }
  /// The executor says that a buffer is born (before the op that first writes it) or dead (after its last use), in
  /// stream order. Does nothing, but for a device that checks.
  virtual void on_birth(Stream, std::byte*, Bytes) {}
  virtual void on_death(Stream, std::byte*, Bytes) {}
};

/// Streams are FIFO worker threads, an event is a counter. Every stream's thread sets flush-to-zero; kernels called on
/// stream 0 use `threads` threads, on others one.
std::unique_ptr<Device> make_cpu_device(int streams, int threads, Pages pages = Pages::own);

/// A CPU device that tries to break the program: fills bytes at birth and death with NaN, and delays tasks at random by
/// a seed, so that a missing event or a read of unwritten or freed bytes changes the result.
struct CheckedOptions {
  std::uint64_t seed = 0;
  bool poison = true;
  int max_delay_us = 200;  // 0: no delays
};
std::unique_ptr<Device> make_checked_device(int streams, int threads, const CheckedOptions& options);

}  // namespace trireme
