#include <catch2/catch.hpp>

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/device/device.h"

namespace trireme {

TEST_CASE("device: the arena is zeroed, writable to its last byte and begins at a page", "[device]") {
  const auto device = make_cpu_device(1, 1, GENERATE(Pages::own, Pages::shared));
  for (const Bytes bytes : {Bytes{0}, Bytes{1}, Bytes{4097}, 5 * MiB + 3}) {
    std::byte* data = device->allocate(bytes);
    REQUIRE(data != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % 4096 == 0);
    for (Bytes i = 0; i < bytes; ++i) REQUIRE(data[i] == std::byte{0});
    std::memset(data, 1, static_cast<std::size_t>(bytes));
  }
}

TEST_CASE("device: an arena takes pages where it is touched, populate() takes the rest and keeps what was written",
          "[device]") {
  const auto device = make_cpu_device(1, 1, GENERATE(Pages::own, Pages::shared));
  const Bytes bytes = 64 * MiB, page = 4 * KiB;
  std::byte* data = device->allocate(bytes);
  const auto present = [&] {
    std::vector<unsigned char> pages(static_cast<std::size_t>(bytes / page));
    REQUIRE(mincore(data, static_cast<std::size_t>(bytes), pages.data()) == 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; }) * page;
  };
  data[5] = std::byte{7}, data[40 * MiB] = std::byte{9};
  CHECK(present() <= 4 * MiB);  // two huge pages at most
  device->populate(data);
  CHECK(present() == bytes);
  CHECK((data[5] == std::byte{7} && data[40 * MiB] == std::byte{9} && data[40 * MiB + 1] == std::byte{0}));
  CHECK_THROWS_AS(device->populate(data + page), Error);
}

TEST_CASE("device: an arena that the machine does not have is refused with its size", "[device]") {
  const auto device = make_cpu_device(1, 1, GENERATE(Pages::own, Pages::shared));
  try {
    device->allocate(Bytes{1} << 60);
    FAIL("an arena of 2^60 bytes was given");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::plan);
    CHECK_THAT(error.what(), Catch::Contains("1152921504606846976 bytes"));
  }
  CHECK_THROWS_AS(device->allocate(-1), Error);
}

TEST_CASE("device: shared pages whose file may not be that long are refused, and the file is closed", "[device]") {
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit short_files = before;
  short_files.rlim_cur = 1 * MiB;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const auto device = make_cpu_device(1, 1, Pages::shared);
  const auto files = open_files();
  REQUIRE(setrlimit(RLIMIT_FSIZE, &short_files) == 0);
  CHECK_THROWS_AS(device->allocate(2 * MiB), Error);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(open_files() == files);
}

TEST_CASE("device: the file of shared pages shows what is written to the arena", "[device]") {
  CHECK(make_cpu_device(1, 1)->memory_file() == -1);
  const auto device = make_cpu_device(1, 1, Pages::shared);
  const Bytes bytes = 3 * MiB + 5;
  std::byte* data = device->allocate(bytes);
  data[0] = std::byte{7}, data[bytes - 1] = std::byte{9};
  const auto size = static_cast<std::size_t>(bytes);
  void* mapping = mmap(nullptr, size, PROT_READ, MAP_SHARED, device->memory_file(), 0);
  REQUIRE(mapping != MAP_FAILED);
  const auto* seen = static_cast<const std::byte*>(mapping);
  CHECK((seen[0] == std::byte{7} && seen[1] == std::byte{0} && seen[bytes - 1] == std::byte{9}));
  munmap(mapping, size);
}

}  // namespace trireme
