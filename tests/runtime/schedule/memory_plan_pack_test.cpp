// The parts of the memory plan that know nothing of schedules.

#include "runtime/schedule/plan/memory_plan_pack.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "runtime/schedule/plan/memory_plan_occupancy.h"
#include "runtime/schedule/plan/memory_plan_orders.h"
#include "runtime/schedule/plan/memory_plan_skyline.h"

namespace trireme::planning {
namespace {

struct Taken {
  Interval when;
  Range range;
};

bool meets(Interval a, Interval b) { return a.first <= b.last && b.first <= a.last; }

bool is_free(const std::vector<Taken>& taken, const std::vector<Interval>& when, Range range) {
  for (const Taken& t : taken)
    for (const Interval& w : when)
      if (meets(t.when, w) && t.range.begin < range.end && range.begin < t.range.end) return false;
  return true;
}

/// Items of all lengths and sizes; every tenth lives twice.
PackProblem random_problem(std::uint32_t seed, int most_items, Moment moments) {
  std::mt19937 random(seed);
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  PackProblem problem{.moments = moments, .items = {}};
  for (int count = 1 + below(most_items); count > 0; --count) {
    const Moment first = below(moments), last = std::min(moments - 1, first + below(1 + below(moments)));
    Item item{.size = 1 + below(1 << (1 + below(12))), .when = {{first, last}}};
    if (below(10) == 0 && last + 2 < moments) item.when.push_back({last + 2, moments - 1});
    problem.items.push_back(item);
  }
  return problem;
}

}  // namespace

TEST_CASE("Occupancy: lowest_fit is the lowest free address, as found by trying all", "[schedule]") {
  std::mt19937 random(3);
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  for (int run = 0; run < 200; ++run) {
    const Moment moments = 1 + below(20);
    Occupancy occupancy(moments);
    std::vector<Taken> taken;
    for (int round = 0; round < 2; ++round, occupancy.clear(), taken.clear())
      for (int step = 0; step < 25; ++step) {
        const Moment first = below(moments), last = first + below(moments - first);
        std::vector<Interval> when{{first, last}};
        if (last + 1 < moments) when.push_back({last + 1 + below(moments - last - 1), moments - 1});
        const Bytes size = 1 + below(10);
        const Bytes found = occupancy.lowest_fit(when, size);
        Bytes expected = 0;
        while (!is_free(taken, when, {expected, expected + size})) ++expected;
        REQUIRE(found == expected);
        const Bytes address = found + (below(2) == 0 ? below(12) : 0);  // sometimes higher: leaves a hole
        if (!is_free(taken, when, {address, address + size})) continue;
        for (const Interval& interval : when) {
          occupancy.take(interval, {address, address + size});
          taken.push_back({interval, {address, address + size}});
        }
      }
  }
}

TEST_CASE("pack: items that meet in time share no byte; the height is the largest end, and not below the load",
          "[schedule]") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const PackProblem problem = random_problem(seed, 60, 40);
    const std::vector<Bytes> loads = load(problem);
    const Bytes bound = *std::max_element(loads.begin(), loads.end());
    const Packing packing = pack(problem, {.good = bound + bound / 50, .tolerable = bound * 2});
    std::vector<Taken> taken;
    Bytes height = 0;
    for (std::size_t i = 0; i < problem.items.size(); ++i) {
      const Item& item = problem.items[i];
      const Range range{packing.address[i], packing.address[i] + item.size};
      REQUIRE(is_free(taken, item.when, range));
      for (const Interval& when : item.when) taken.push_back({when, range});
      height = std::max(height, range.end);
    }
    REQUIRE(height == packing.height);
    REQUIRE(height >= bound);
  }
}

TEST_CASE("pack_skyline: items that meet in time share no byte, in any order; the height is the largest end",
          "[schedule]") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const PackProblem problem = random_problem(seed, 60, 40);
    Order order = make_order(static_cast<int>(seed % order_count), find_traits(problem));
    std::shuffle(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2), std::mt19937(seed));
    Packing packing;
    std::size_t steps = 0;
    pack_skyline(problem, order, packing, steps);
    std::vector<Taken> taken;
    Bytes height = 0;
    for (std::size_t i = 0; i < problem.items.size(); ++i) {
      const Item& item = problem.items[i];
      const Range range{packing.address[i], packing.address[i] + item.size};
      REQUIRE(is_free(taken, item.when, range));
      for (const Interval& when : item.when) taken.push_back({when, range});
      height = std::max(height, range.end);
    }
    CHECK(height == packing.height);
    CHECK(steps <= 3 * order.size() * (order.size() + static_cast<std::size_t>(problem.moments)));
  }
}

TEST_CASE("pack_skyline: what nests like activations of forward and backward is packed without a hole", "[schedule]") {
  PackProblem problem{.moments = 200, .items = {}};
  for (Moment layer = 0; layer < 100; ++layer)
    problem.items.push_back({.size = 256 * (1 + layer % 7), .when = {{layer, 199 - layer}}});
  const std::vector<Bytes> loads = load(problem);
  Packing packing;
  std::size_t steps = 0;
  pack_skyline(problem, make_order(5, find_traits(problem)), packing, steps);
  CHECK(packing.height == *std::max_element(loads.begin(), loads.end()));
}

TEST_CASE("load: sums the sizes alive at each moment", "[schedule]") {
  const PackProblem problem{.moments = 4, .items = {{5, {{0, 1}}}, {7, {{1, 2}}}, {1, {{0, 0}, {2, 3}}}}};
  CHECK(load(problem) == std::vector<Bytes>{6, 12, 8, 1});
}

TEST_CASE("pack: nothing needs nothing", "[schedule]") {
  CHECK(pack({}, {}).height == 0);
  CHECK(pack({.moments = 3, .items = {{4, {}}}}, {}).height == 4);
}

}  // namespace trireme::planning
