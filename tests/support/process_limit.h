#pragma once
// A limit of this process (ulimit) for the time of a test.

#include <sys/resource.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <fstream>

#include "runtime/base/units.h"

namespace trireme {

/// The soft limit until the end of the scope.
class ProcessLimit {
 public:
  ProcessLimit(__rlimit_resource_t resource, std::int64_t value) : resource_(resource) {
    REQUIRE(getrlimit(resource, &before_) == 0);
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(value);
    REQUIRE(setrlimit(resource, &now) == 0);
  }
  ProcessLimit(const ProcessLimit&) = delete;
  ~ProcessLimit() { setrlimit(resource_, &before_); }

 private:
  __rlimit_resource_t resource_;
  rlimit before_{};
};

/// What this process has of address space, with the sanitizers' share of it.
inline Bytes address_space_bytes() {
  std::ifstream file("/proc/self/statm");
  Bytes pages = 0;
  file >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace trireme
