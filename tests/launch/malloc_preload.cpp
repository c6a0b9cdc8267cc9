// Loaded before the program: counts what its threads, other than the first, allocate, and prints it at exit.
// Ours is every operator new, and what the program's own code asks of malloc and its kin; the rest is the libraries',
// MPI's among them. With MALLOC_PLANT set, one large allocation of every kind is made on such a thread, to see the
// count work.

#include <link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

// The C library's own, under names that nobody replaces; dlsym() would allocate while it looks for them.
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* __libc_calloc(std::size_t, std::size_t);
extern "C" void* __libc_realloc(void*, std::size_t);
extern "C" void* __libc_memalign(std::size_t, std::size_t);

namespace {

constexpr std::size_t large_bytes = 4096;

std::atomic<long> large_ours = 0;   // over 4 KiB
std::atomic<long> other_bytes = 0;  // of libraries, all sizes
std::atomic<bool> planted = false;
thread_local bool in_new = false, planting = false;

bool is_first_thread() { return ::syscall(SYS_gettid) == ::getpid(); }

struct Range {
  std::size_t begin = SIZE_MAX, end = 0;
};

// The program is the first object of the list; its libraries of ours are linked into it.
int program_range(dl_phdr_info* info, std::size_t, void* out) {
  auto* range = static_cast<Range*>(out);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    range->begin = std::min<std::size_t>(range->begin, info->dlpi_addr + part.p_vaddr);
    range->end = std::max<std::size_t>(range->end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
  }
  return 1;
}

Range program;
__attribute__((constructor)) void find_program() { ::dl_iterate_phdr(program_range, &program); }

void plant();

void count(std::size_t bytes, const void* caller) {
  if (in_new || is_first_thread()) return;
  if (!planted && !planting) plant();
  const auto address = reinterpret_cast<std::size_t>(caller);
  const bool ours = planting || (program.begin <= address && address < program.end);
  if (!ours) other_bytes += static_cast<long>(bytes);
  if (ours && bytes > large_bytes) ++large_ours;
}

void* counted_new(std::size_t bytes, std::size_t alignment) {
  if (bytes > large_bytes && !is_first_thread()) ++large_ours;
  in_new = true;
  void* memory = alignment > 0 ? std::aligned_alloc(alignment, bytes) : std::malloc(bytes ? bytes : 1);
  in_new = false;
  if (!memory) throw std::bad_alloc();
  return memory;
}

// Volatile, so that no pair of an allocation and its end is optimised away.
void plant() {
  planted = true;
  if (!std::getenv("MALLOC_PLANT")) return;
  planting = true;
  constexpr std::size_t bytes = 2 * large_bytes;
  void* volatile memory = nullptr;
  memory = ::operator new(bytes);
  ::operator delete(memory);
  memory = ::operator new (bytes, std::align_val_t{64});
  ::operator delete (memory, std::align_val_t{64});
  memory = std::malloc(bytes);
  std::free(memory);
  memory = std::calloc(2, large_bytes);
  std::free(memory);
  memory = std::realloc(nullptr, bytes);
  std::free(memory);
  memory = std::aligned_alloc(64, bytes);
  std::free(memory);
  void* aligned = nullptr;
  if (::posix_memalign(&aligned, 64, bytes) == 0) std::free(aligned);
  planting = false;
}

struct Report {
  ~Report() {
    if (const char* rank = std::getenv("OMPI_COMM_WORLD_RANK"))
      std::fprintf(stderr, "\nmallocs: rank %s large_ours %ld library_bytes %ld\n", rank, large_ours.load(),
                   other_bytes.load());
  }
} report;

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}
void* calloc(std::size_t items, std::size_t bytes) {
  count(items * bytes, __builtin_return_address(0));
  return __libc_calloc(items, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  *out = __libc_memalign(alignment, bytes);
  return *out ? 0 : ENOMEM;
}
}
void* operator new(std::size_t bytes) { return counted_new(bytes, 0); }
void* operator new[](std::size_t bytes) { return counted_new(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted_new(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted_new(bytes, static_cast<std::size_t>(alignment));
}
