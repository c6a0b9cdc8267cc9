#include "runtime/base/heap_meter.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace trireme {
namespace {

constexpr Bytes no_limit = std::numeric_limits<Bytes>::max();

/// Of one thread. Trivial, so that it is there before the first allocation and after the last.
struct Count {
  Bytes held, peak, limit;    // limit: on `held`
  Bytes pages_limit, unseen;  // on the pages of the process; taken since they were looked at
};
constexpr Bytes look_every_bytes = MiB / 2;
thread_local constinit Count count{0, 0, no_limit, no_limit, 0};

// Resident pages that no file backs. Allocates nothing; 0 where it cannot be known.
Bytes own_pages_bytes() {
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[128];
  const ssize_t length = ::read(file, text, sizeof text - 1);
  ::close(file);
  text[std::max<ssize_t>(length, 0)] = 0;
  long size = 0, resident = 0, shared = 0;
  if (std::sscanf(text, "%ld %ld %ld", &size, &resident, &shared) != 3) return 0;
  return Bytes{resident - shared} * ::sysconf(_SC_PAGESIZE);
}

// Of a large block: what of it has no pages yet, and will have all of them without being looked at again.
Bytes untouched_bytes(const void* block, Bytes bytes) {
  if (bytes < look_every_bytes) return 0;
  const Bytes page = ::sysconf(_SC_PAGESIZE);
  const auto first =
      reinterpret_cast<std::uintptr_t>(block) / static_cast<std::uintptr_t>(page) * static_cast<std::uintptr_t>(page);
  Bytes untouched = 0;
  unsigned char resident[1024];
  for (Bytes done = 0; done < bytes; done += page * 1024) {
    const Bytes part = std::min<Bytes>(align_up(bytes - done, page), page * 1024);
    if (::mincore(reinterpret_cast<void*>(first + static_cast<std::uintptr_t>(done)), static_cast<std::size_t>(part),
                  resident) != 0)
      return bytes;
    untouched += page * std::count_if(resident, resident + part / page, [](unsigned char r) { return (r & 1) == 0; });
  }
  return untouched;
}

bool has_too_many_pages(const void* block, Bytes taken) {
  if (count.pages_limit == no_limit) return false;
  count.unseen += taken;
  if (count.unseen < look_every_bytes) return false;
  count.unseen = 0;
  return own_pages_bytes() + untouched_bytes(block, taken) > count.pages_limit;
}

constexpr Bytes header_bytes = 8;

Bytes block_bytes(void* block) { return static_cast<Bytes>(::malloc_usable_size(block)) + header_bytes; }

void* take(std::size_t bytes) {
  // malloc rounds up to 16 with its header: what is refused here would have passed the limit.
  if (count.limit != no_limit && count.held + static_cast<Bytes>(bytes) + header_bytes > count.limit)
    throw HeapLimitReached();
  void* block = std::malloc(std::max<std::size_t>(bytes, 1));
  if (!block) throw std::bad_alloc();
  if (has_too_many_pages(block, static_cast<Bytes>(bytes))) {
    std::free(block);
    throw HeapLimitReached();
  }
  count.held += block_bytes(block);
  count.peak = std::max(count.peak, count.held);
  return block;
}

void* try_take(std::size_t bytes) noexcept {
  try {
    return take(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void give_back(void* block) {
  if (!block) return;
  count.held -= block_bytes(block);
  std::free(block);
}

}  // namespace

const char* HeapLimitReached::what() const noexcept { return "the heap would pass the limit that was set for it"; }

HeapMeter::HeapMeter(Bytes limit_bytes)
    : start_(count.held), outer_peak_(count.peak), outer_limit_(count.limit), outer_pages_limit_(count.pages_limit) {
  count.peak = count.held;
  if (limit_bytes >= no_limit - start_) return;
  count.limit = std::min(count.limit, start_ + limit_bytes);
  count.pages_limit = std::min(count.pages_limit, own_pages_bytes() + limit_bytes);
}

HeapMeter::~HeapMeter() {
  count.peak = std::max(count.peak, outer_peak_);
  count.limit = outer_limit_;
  count.pages_limit = outer_pages_limit_;
}

Bytes HeapMeter::held_bytes() const { return count.held - start_; }

Bytes HeapMeter::peak_bytes() const { return count.peak - start_; }

}  // namespace trireme

// All forms but those for larger alignments, which count on neither side: a sanitizer brings its own of whatever is
// missing here, and they must not be mixed.
void* operator new(std::size_t bytes) { return trireme::take(bytes); }
void* operator new[](std::size_t bytes) { return trireme::take(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return trireme::try_take(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return trireme::try_take(bytes); }
void operator delete(void* block) noexcept { trireme::give_back(block); }
void operator delete[](void* block) noexcept { trireme::give_back(block); }
void operator delete(void* block, std::size_t) noexcept { trireme::give_back(block); }
void operator delete[](void* block, std::size_t) noexcept { trireme::give_back(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { trireme::give_back(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { trireme::give_back(block); }
