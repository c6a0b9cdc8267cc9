#include "runtime/device/cpu/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/system_call.h"

namespace trireme::cpu {
namespace {

constexpr Bytes page_bytes = 4 * KiB, huge_page_bytes = 2 * MiB;

void require_memory(const SystemCall& call, Bytes bytes) {
  require(call.succeeded(), ErrorKind::plan,
          "no {} ({} bytes) of memory for the arena: {}; free memory, raise the limit, or plan "
          "a smaller run",
          format_bytes(bytes), bytes, call.reason());
}

// Kernels before 5.14 do not know MADV_POPULATE_WRITE (EINVAL): there a byte of each page is written as it is.
SystemCall populate_pages(std::byte* data, Bytes bytes) {
  const SystemCall populated(madvise(data, static_cast<std::size_t>(bytes), MADV_POPULATE_WRITE));
  if (populated.error() != EINVAL) return populated;
  for (Bytes at = 0; at < bytes; at += page_bytes) {
    auto* const byte = const_cast<volatile std::byte*>(data + at);
    *byte = *byte;
  }
  return SystemCall(0);
}

SystemCall mapped(void* mapping) { return SystemCall(mapping != MAP_FAILED ? 0 : -1); }

}  // namespace

// The destructor gives back what was taken before an error.
Arena::Arena(Bytes bytes, Pages pages) : Arena() {
  require(bytes >= 0 && bytes < INT64_MAX - 2 * huge_page_bytes, ErrorKind::device, "an arena of {} bytes", bytes);
  const bool shared = pages == Pages::shared;
  const int access = PROT_READ | PROT_WRITE;
  data_bytes_ = align_up(bytes > 0 ? bytes : 1, page_bytes);
  mapping_bytes_ = static_cast<std::size_t>(data_bytes_ + huge_page_bytes);
  void* mapping = mmap(nullptr, mapping_bytes_, shared ? PROT_NONE : access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require_memory(mapped(mapping), bytes);
  mapping_ = static_cast<std::byte*>(mapping);
  const auto address = static_cast<Bytes>(reinterpret_cast<std::uintptr_t>(mapping_));
  data_ = mapping_ + (align_up(address, huge_page_bytes) - address);
  const auto size = static_cast<std::size_t>(data_bytes_);
  if (shared) {
    // A memfd lies in no file system that could be small, as /dev/shm is in many containers.
    const SystemCall created(memfd_create("trireme", MFD_CLOEXEC));
    require_memory(created, bytes);
    file_ = static_cast<int>(created.result());
    require_memory(SystemCall(ftruncate(file_, data_bytes_)), bytes);
    require_memory(mapped(mmap(data_, size, access, MAP_SHARED | MAP_FIXED, file_, 0)), bytes);
  }
  madvise(data_, size, MADV_HUGEPAGE);  // a wish: without it all still works
}

void Arena::populate() { require_memory(populate_pages(data_, data_bytes_), data_bytes_); }

Arena::Arena(Arena&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(other.mapping_bytes_),
      data_(other.data_),
      data_bytes_(other.data_bytes_),
      file_(std::exchange(other.file_, -1)) {}

Arena::~Arena() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
  if (file_ >= 0) close(file_);
}

}  // namespace trireme::cpu
