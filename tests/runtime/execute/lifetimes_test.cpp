#include "runtime/execute/lifetimes.h"

#include <catch2/catch.hpp>

#include "tests/runtime/schedule/schedule_builder.h"

using namespace trireme;
using trireme::test::ScheduleBuilder;

namespace {

using Ids = std::vector<BufferId>;
constexpr StreamId compute = StreamId::compute, comm = StreamId::comm;

}  // namespace

TEST_CASE("find_lifetimes: a buffer is born at its first use and dies at its last") {
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId a = builder.add("a", 8), b = builder.add("b", 8);
  builder.add(OpKind::forward, compute, {}, {a});
  builder.add(OpKind::forward, compute, {a}, {b});
  builder.add(OpKind::forward, compute, {a}, {});
  builder.add(OpKind::forward, compute, {b}, {});
  const Lifetimes lifetimes = find_lifetimes(std::move(builder).finish());
  CHECK(lifetimes.births == std::vector<Ids>{{a}, {b}, {}, {}});
  CHECK(lifetimes.deaths == std::vector<Ids>{{}, {}, {a}, {b}});
}

TEST_CASE("find_lifetimes: a buffer of two streams dies at the use that all others precede") {
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId full = builder.add("full", 8);
  builder.add(OpKind::gather, comm, {}, {full});
  builder.add(OpKind::forward, compute, {full}, {});
  builder.add(OpKind::release, comm, {}, {});
  const Lifetimes lifetimes = find_lifetimes(std::move(builder).finish());
  CHECK(lifetimes.births == std::vector<Ids>{{full}, {}, {}});
  CHECK(lifetimes.deaths == std::vector<Ids>{{}, {full}, {}});
}

TEST_CASE("find_lifetimes: a buffer whose last uses are not ordered has no death") {
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId gradient = builder.add("gradient", 8);
  builder.add(OpKind::backward, compute, {}, {gradient});
  builder.add(OpKind::release, comm, {gradient}, {});
  builder.add(OpKind::forward, compute, {gradient}, {});  // reads beside the release
  const Lifetimes lifetimes = find_lifetimes(std::move(builder).finish());
  CHECK(lifetimes.births == std::vector<Ids>{{gradient}, {}, {}});
  CHECK(lifetimes.deaths == std::vector<Ids>{{}, {}, {}});
}

TEST_CASE("find_lifetimes: persistent and carried buffers and tokens are neither born nor die") {
  ScheduleBuilder builder(ScheduleKind::step);
  const BufferId master = builder.add("master", 8, Role::parameters, Lifetime::persistent);
  const BufferId carried = builder.add("carry.full", 8, Role::gathered, Lifetime::carried);
  const BufferId token = builder.add("token", 0, Role::token);
  const BufferId scratch = builder.add("scratch", 8);
  builder.add(OpKind::forward, compute, {master, carried}, {token, scratch});
  const Lifetimes lifetimes = find_lifetimes(std::move(builder).finish());
  CHECK(lifetimes.births == std::vector<Ids>{{scratch}});
  CHECK(lifetimes.deaths == std::vector<Ids>{{scratch}});
}
