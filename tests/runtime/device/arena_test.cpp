#include <catch2/catch.hpp>

#include <cstring>

#include "runtime/base/error.h"
#include "runtime/device/device.h"

namespace trireme {

TEST_CASE("device: the arena is zeroed, writable to its last byte and begins at a page", "[device]") {
  const auto device = make_cpu_device(1, 1);
  for (const Bytes bytes : {Bytes{0}, Bytes{1}, Bytes{4097}, 5 * MiB + 3}) {
    std::byte* data = device->allocate(bytes);
    REQUIRE(data != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % 4096 == 0);
    for (Bytes i = 0; i < bytes; ++i) REQUIRE(data[i] == std::byte{0});
    std::memset(data, 1, static_cast<std::size_t>(bytes));
  }
}

TEST_CASE("device: an arena that the machine does not have is refused with its size", "[device]") {
  const auto device = make_cpu_device(1, 1);
  try {
    device->allocate(Bytes{1} << 60);
    FAIL("an arena of 2^60 bytes was given");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::device);
    CHECK_THAT(error.what(), Catch::Contains("1152921504606846976 bytes"));
  }
  CHECK_THROWS_AS(device->allocate(-1), Error);
}

}  // namespace trireme
