#include "launch/plan/process_limits.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "runtime/base/error.h"

namespace trireme {
namespace {

struct Use {
  Bytes address_bytes = 0, data_bytes = 0;
};

// In pages: size, resident, shared, text, 0, data and stack.
Use use_of_process() {
  std::ifstream file("/proc/self/statm");
  Bytes size = 0, other = 0, data = 0;
  file >> size >> other >> other >> other >> other >> data;
  const Bytes page = ::sysconf(_SC_PAGESIZE);
  return {size * page, data * page};
}

bool is_limited(__rlimit_resource_t resource) {
  rlimit limit{};
  return ::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

void require_below(__rlimit_resource_t resource, Bytes used, Bytes wanted, const std::string& what, const char* name) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const auto most = static_cast<Bytes>(limit.rlim_cur);
  require(used + wanted <= most, ErrorKind::plan,
          "{} takes {} beside the {} that this process has, and its {} is limited to {}; raise "
          "it: ulimit {} {} or more, or unlimited",
          what, format_bytes(wanted), format_bytes(used), name, format_bytes(most), resource == RLIMIT_AS ? "-v" : "-d",
          ceil_div(used + wanted, KiB));
}

}  // namespace

ProcessRoom mpi_start_room() { return {.address_bytes = 72 * MiB, .data_bytes = 24 * MiB}; }

ProcessRoom threads_room(int threads) {
  pthread_attr_t defaults;
  std::size_t stack = 0;
  if (pthread_getattr_default_np(&defaults) == 0) {
    pthread_attr_getstacksize(&defaults, &stack);
    pthread_attr_destroy(&defaults);
  }
  constexpr Bytes heap_bytes = 16 * MiB;
  const Bytes bytes = threads * (static_cast<Bytes>(stack) + 64 * KiB) + heap_bytes;
  return {.address_bytes = bytes, .data_bytes = bytes};
}

void require_room(const ProcessRoom& room, const std::string& what) {
  if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA)) return;
  const Use use = use_of_process();
  require_below(RLIMIT_AS, use.address_bytes, room.address_bytes, what, "address space");
  require_below(RLIMIT_DATA, use.data_bytes, room.data_bytes, what, "data");
}

void bound_heaps() {
  if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA)) return;
  ::mallopt(M_ARENA_MAX, 1);
  ::setenv("MALLOC_ARENA_MAX", "1", 0);
}

}  // namespace trireme
