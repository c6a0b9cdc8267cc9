// Loaded before the program: counts what its threads, other than the first, allocate, and prints it at exit.
// C++ code allocates through operator new; what comes through malloc alone is the C libraries', MPI's among them.

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t large_bytes = 4096;

std::atomic<long> large_news = 0;      // of C++ code, over 4 KiB
std::atomic<long> other_bytes = 0;     // mallocs of libraries, all sizes
thread_local bool in_new = false;

bool is_first_thread() { return ::syscall(SYS_gettid) == ::getpid(); }

using Malloc = void* (*)(std::size_t);
Malloc next_malloc() {
  static const Malloc next = reinterpret_cast<Malloc>(::dlsym(RTLD_NEXT, "malloc"));
  return next;
}

void* counted_new(std::size_t bytes) {
  if (bytes > large_bytes && !is_first_thread()) ++large_news;
  in_new = true;
  void* memory = std::malloc(bytes ? bytes : 1);
  in_new = false;
  if (!memory) throw std::bad_alloc();
  return memory;
}

struct Report {
  ~Report() {
    if (std::getenv("OMPI_COMM_WORLD_RANK"))
      std::fprintf(stderr, "\nmallocs: rank %s large_news %ld library_bytes %ld\n", std::getenv("OMPI_COMM_WORLD_RANK"),
                   large_news.load(), other_bytes.load());
  }
} report;

}  // namespace

extern "C" void* malloc(std::size_t bytes) {
  if (!in_new && !is_first_thread()) other_bytes += static_cast<long>(bytes);
  return next_malloc()(bytes);
}
void* operator new(std::size_t bytes) { return counted_new(bytes); }
void* operator new[](std::size_t bytes) { return counted_new(bytes); }
