#include "launch/plan/process_memory.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace trireme {
namespace {

// The value of a line "Key:  123 kB" of a file below /proc/self; 0 where there is none.
Bytes read_kib(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string word; file >> word; file.ignore(std::numeric_limits<std::streamsize>::max(), '\n'))
    if (Bytes kib = 0; word == key && file >> kib) return kib * KiB;
  return 0;
}

}  // namespace

Bytes peak_process_bytes() {
  const Bytes resident_peak = read_kib("/proc/self/status", "VmHWM:"),
              resident = read_kib("/proc/self/status", "VmRSS:");
  const Bytes proportional = read_kib("/proc/self/smaps_rollup", "Pss:");
  return proportional > 0 ? proportional + std::max<Bytes>(0, resident_peak - resident) : resident_peak;
}

Bytes unbacked_process_bytes() {
  const char* const status = "/proc/self/status";
  return read_kib(status, "RssAnon:") + read_kib(status, "RssShmem:") + read_kib(status, "VmPTE:");
}

void return_large_blocks() { ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(128 * KiB)); }

void give_back_free_heap() { ::malloc_trim(0); }

}  // namespace trireme
