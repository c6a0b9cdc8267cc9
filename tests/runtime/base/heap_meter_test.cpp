#include "runtime/base/heap_meter.h"

#include <catch2/catch.hpp>

#include <memory>
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

TEST_CASE("HeapMeter: past a limit new throws, what was held goes back, and behind the meter there is no limit") {
  const auto fill = [](Bytes bytes) { return std::vector<char>(static_cast<std::size_t>(bytes)); };
  {
    const HeapMeter meter(10'000);
    CHECK_THROWS_AS(fill(10'001), HeapLimitReached);
    const auto fill_twice = [&] {
      const std::vector<char> first = fill(6'000);
      fill(6'000);
    };
    CHECK_THROWS_AS(fill_twice(), HeapLimitReached);
    CHECK(meter.held_bytes() == 0);
    CHECK(meter.peak_bytes() < 10'000);
    CHECK_NOTHROW(fill(9'000));
    const HeapMeter inner(1'000'000);
    CHECK_THROWS_AS(fill(20'000), HeapLimitReached);
  }
  CHECK_NOTHROW(fill(1'000'000));
}

TEST_CASE("HeapMeter: other threads neither count nor are limited") {
  const HeapMeter meter(10'000);
  Bytes held = -1;
  std::vector<char>* large = nullptr;
  std::thread([&] {
    const HeapMeter own;
    large = new std::vector<char>(1'000'000);
    held = own.held_bytes();
    delete large;
  }).join();
  CHECK(is_about(held, 1'000'000 + static_cast<Bytes>(sizeof(std::vector<char>))));
  CHECK(meter.peak_bytes() < 10'000);
}
