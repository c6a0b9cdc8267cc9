// What the system refuses a process by its limits.

#include <catch2/catch.hpp>

#include <functional>
#include <string>

#include "comm/node/shared_file.h"
#include "runtime/base/error.h"
#include "runtime/device/cpu/arena.h"
#include "runtime/device/device.h"
#include "tests/support/process_limit.h"

namespace trireme::test {

TEST_CASE("device: memory and threads that a limit of the process refuses have exit code 3 and name it", "[memory]") {
  const auto refusal = [](const std::function<void()>& task) {
    try {
      task();
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::plan);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const Pages pages = GENERATE(Pages::own, Pages::shared);
  const auto device = make_cpu_device(1, 1, pages);
  {
    const ProcessLimit little(RLIMIT_AS, address_space_bytes() + 32 * MiB);
    CHECK_THAT(refusal([&] { device->allocate(64 * MiB); }),
               Catch::Contains("67108864 bytes") && Catch::Contains("ulimit -v"));
    // Eight MiB of stack each.
    CHECK_THAT(refusal([&] { make_cpu_device(20, 1, pages); }),
               Catch::Contains("stack") && Catch::Contains("ulimit -v"));
  }
  if (pages == Pages::own) {
    const ProcessLimit little(RLIMIT_DATA, 32 * MiB);
    CHECK_THAT(refusal([&] { device->allocate(64 * MiB); }), Catch::Contains("ulimit -d"));
  }
  CHECK(device->allocate(64 * MiB) != nullptr);
}

TEST_CASE("SharedMapping: what the limit of address space does not hold has exit code 3 and names it", "[memory]") {
  const cpu::Arena arena(64 * MiB, Pages::shared);
  const SharedFile file = name_file(arena.file());
  const ProcessLimit little(RLIMIT_AS, address_space_bytes() + 32 * MiB);
  try {
    const SharedMapping mapping(file, FileAccess::read);
    FAIL("64 MiB were mapped into 32");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::plan);
    CHECK_THAT(error.what(), Catch::Contains("64.00 MiB") && Catch::Contains("ulimit -v"));
  }
}

}  // namespace trireme::test
