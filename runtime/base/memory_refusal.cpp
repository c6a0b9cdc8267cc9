#include "runtime/base/memory_refusal.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <fstream>
#include <new>
#include <system_error>
#include <vector>

#include "runtime/base/units.h"

namespace trireme {
namespace {

void add_limit(std::vector<std::string>& limits, __rlimit_resource_t resource, const char* what, const char* option) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  limits.push_back(fmt::format("the {} of a process is limited to {}: raise ulimit {}", what,
                               format_bytes(static_cast<Bytes>(limit.rlim_cur)), option));
}

bool never_overcommits() {
  std::ifstream file("/proc/sys/vm/overcommit_memory");
  int mode = 0;
  return file >> mode && mode == 2;
}

}  // namespace

std::string memory_limits() {
  std::vector<std::string> limits;
  add_limit(limits, RLIMIT_AS, "address space", "-v");
  add_limit(limits, RLIMIT_DATA, "data", "-d");
  if (never_overcommits()) limits.push_back("vm.overcommit_memory is 2: all that is asked for counts, used or not");
  return fmt::format("{}", fmt::join(limits, "; "));
}

Error memory_refused(const std::string& what) {
  const std::string limits = memory_limits();
  return {ErrorKind::plan, fmt::format("the system gives no memory for {}; {}", what,
                                       limits.empty() ? "free memory, or plan a smaller run" : limits)};
}

bool thread_stack_refused() {
  pthread_attr_t defaults;
  std::size_t bytes = 0;
  if (pthread_getattr_default_np(&defaults) != 0) return false;
  pthread_attr_getstacksize(&defaults, &bytes);
  pthread_attr_destroy(&defaults);
  void* stack = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return true;
  munmap(stack, bytes);
  return false;
}

Error as_error(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return *ours;
  if (dynamic_cast<const std::bad_alloc*>(&error)) return memory_refused("what this program keeps beside its plan");
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system && system->code() == std::errc::not_enough_memory) return memory_refused(error.what());
  if (system && system->code() == std::errc::resource_unavailable_try_again && thread_stack_refused())
    return memory_refused("the stack of one more thread");
  return {ErrorKind::bug, error.what()};
}

}  // namespace trireme
