#include <catch2/catch.hpp>

#include <vector>

#include "comm/wait_log.h"

namespace trireme::test {
namespace {

using Time = std::chrono::steady_clock::time_point;

Time at(std::size_t tick) { return Time(std::chrono::microseconds(tick)); }

TEST_CASE("wait_log: gives every interval once, in order", "[comm]") {
  WaitLog log;
  std::vector<WaitInterval> taken(3);
  CHECK(log.take(taken) == 0);
  for (std::size_t i = 0; i < 5; ++i) log.add({at(2 * i), at(2 * i + 1)});
  REQUIRE(log.take(taken) == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK((taken[i].start == at(2 * i) && taken[i].end == at(2 * i + 1)));
  REQUIRE(log.take(taken) == 2);
  CHECK(taken[1].start == at(8));
  CHECK(log.take(taken) == 0);
}

TEST_CASE("wait_log: when nobody takes, the latest are kept", "[comm]") {
  WaitLog log;
  const std::size_t count = WaitLog::capacity + 7;
  for (std::size_t i = 0; i < count; ++i) log.add({at(i), at(i)});
  std::vector<WaitInterval> taken(count);
  REQUIRE(log.take(taken) == WaitLog::capacity);
  CHECK(taken[0].start == at(7));
  CHECK(taken[WaitLog::capacity - 1].start == at(count - 1));
}

}  // namespace
}  // namespace trireme::test
