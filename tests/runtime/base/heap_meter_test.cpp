#include "runtime/base/heap_meter.h"

#include <catch2/catch.hpp>

#include <memory>
#include <new>
#include <thread>
#include <vector>

using namespace trireme;

namespace {

constexpr Bytes slack = 64;  // headers, and sizes rounded up to 16

bool is_about(Bytes counted, Bytes expected) { return expected <= counted && counted <= expected + slack; }

}  // namespace

TEST_CASE("HeapMeter: counts what is held, and the most that was") {
  const HeapMeter meter;
  {
    const std::vector<char> first(100'000), second(50'000);
    CHECK(is_about(meter.held_bytes(), 150'000));
  }
  CHECK(meter.held_bytes() == 0);
  const std::vector<char> third(20'000);
  CHECK(is_about(meter.held_bytes(), 20'000));
  CHECK(is_about(meter.peak_bytes(), 150'000));
}

TEST_CASE("HeapMeter: an inner meter counts from its own start, and the outer one keeps the peak of both") {
  const HeapMeter outer;
  const std::vector<char> before(10'000);
  {
    const HeapMeter inner;
    CHECK(inner.peak_bytes() == 0);
    const std::vector<char> within(30'000);
    CHECK(is_about(inner.peak_bytes(), 30'000));
  }
  CHECK(is_about(outer.held_bytes(), 10'000));
  CHECK(is_about(outer.peak_bytes(), 40'000));
}

TEST_CASE("HeapMeter: what was taken before may be given back, and counts as less than nothing") {
  auto old = std::make_unique<std::vector<char>>(5'000);
  const HeapMeter meter;
  old.reset();
  CHECK(meter.held_bytes() < -5'000);
  CHECK(meter.peak_bytes() == 0);
}

namespace {

std::vector<char> fill(Bytes bytes) { return std::vector<char>(static_cast<std::size_t>(bytes)); }

bool is_refused(Bytes first, Bytes second = 0) {
  try {
    const std::vector<char> kept = fill(first);
    fill(second);
    return false;
  } catch (const HeapLimitReached&) {
    return true;
  }
}

}  // namespace

// What Catch takes of the heap would count, too: it is asked when the limit is gone.
TEST_CASE("HeapMeter: past a limit new throws, what was held goes back, and behind the meter there is no limit") {
  bool at_once = false, together = false, within = true, inside = false, without_exception = false;
  Bytes held = -1, peak = -1;
  {
    const HeapMeter meter(10'000);
    at_once = is_refused(10'001);
    together = is_refused(6'000, 6'000);
    held = meter.held_bytes(), peak = meter.peak_bytes();
    within = is_refused(9'000);
    const HeapMeter inner(1'000'000);
    inside = is_refused(20'000);
    without_exception = ::operator new(20'000, std::nothrow) == nullptr;
  }
  CHECK(at_once);
  CHECK(together);
  CHECK(held == 0);
  CHECK(peak < 10'000);
  CHECK_FALSE(within);
  CHECK(inside);
  CHECK(without_exception);
  CHECK_FALSE(is_refused(1'000'000));
}

TEST_CASE("HeapMeter: other threads neither count nor are limited") {
  Bytes held = -1, peak = -1;
  const auto on_thread = [&] {
    const HeapMeter own;
    const std::vector<char> large = fill(1'000'000);
    held = own.held_bytes();
  };
  {
    const HeapMeter meter(10'000);
    std::thread(on_thread).join();
    peak = meter.peak_bytes();
  }
  CHECK(is_about(held, 1'000'000));
  CHECK(peak < 10'000);
}
