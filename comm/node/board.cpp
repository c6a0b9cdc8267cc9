#include "comm/node/board.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace trireme {
namespace {

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

}  // namespace

const char* name(NodeCall call) {
  switch (call) {
    case NodeCall::gather: return "gather";
    case NodeCall::reduce: return "reduce";
    case NodeCall::all_reduce: return "all_reduce";
  }
  return "none";
}

// Sequentially consistent throughout: either the sleeper sees the change, or the owner sees the sleeper.
void Board::raise(Counter& counter, std::int64_t value) {
  counter = value;
  ++changes;
  if (sleepers != 0) futex(changes, FUTEX_WAKE, INT_MAX, nullptr);
}

void Board::sleep(std::uint32_t seen, std::chrono::nanoseconds longest) {
  const timespec timeout{.tv_sec = longest.count() / 1'000'000'000, .tv_nsec = longest.count() % 1'000'000'000};
  futex(changes, FUTEX_WAIT, seen, &timeout);
}

}  // namespace trireme
