#include "comm/wait_log.h"

#include <algorithm>

namespace trireme {

void WaitLog::add(const WaitInterval& interval) {
  const std::lock_guard lock(mutex_);
  ring_[(first_ + count_) % capacity] = interval;
  if (count_ < capacity)
    ++count_;
  else
    first_ = (first_ + 1) % capacity;
}

std::size_t WaitLog::take(std::span<WaitInterval> into) {
  const std::lock_guard lock(mutex_);
  const std::size_t taken = std::min(into.size(), count_);
  for (std::size_t i = 0; i < taken; ++i) into[i] = ring_[(first_ + i) % capacity];
  first_ = (first_ + taken) % capacity;
  count_ -= taken;
  return taken;
}

}  // namespace trireme
