#include "runtime/schedule/replay.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>

#include "tests/runtime/schedule/random_schedule.h"

using namespace trireme;

namespace {

using Ranks = std::vector<const Schedule*>;

Ranks pointers(const std::vector<Schedule>& schedules) {
  Ranks ranks;
  for (const Schedule& schedule : schedules) ranks.push_back(&schedule);
  return ranks;
}

Op on(StreamId stream, OpKind kind, Group group = Group::self) {
  return {.kind = kind, .stream = stream, .group = group, .unit = 0};
}

// A program of ops one after the other, on the streams given.
Schedule program(int rank, std::vector<Op> ops) { return {.rank = rank, .world = 4, .ops = std::move(ops)}; }

}  // namespace

TEST_CASE("replay: of one rank it is the planned timeline, on any number of streams", "[schedule]") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Schedule s = RandomSchedule(seed).build(40);
    const auto duration = [&](OpId op) {
      return 1.0 + static_cast<double>((static_cast<std::uint64_t>(op) * 7 + seed) % 5);
    };
    const Timeline planned = plan_timeline(s, duration);
    const Replayed replayed = replay(std::array{&s}, [&](std::size_t, OpId op) { return duration(op); });
    REQUIRE_FALSE(replayed.problem);
    for (std::size_t op = 0; op < s.ops.size(); ++op) {
      CHECK(replayed.timelines[0].ops[op].start_us == planned.ops[op].start_us);
      CHECK(replayed.timelines[0].ops[op].end_us == planned.ops[op].end_us);
    }
  }
}

TEST_CASE("replay: a collective ends on all ranks when the last has come and the longest is done", "[schedule]") {
  using enum StreamId;
  std::vector<Schedule> ranks;
  for (int rank = 0; rank < 3; ++rank)
    ranks.push_back(program(rank, {on(compute, OpKind::forward), on(comm, OpKind::gather, Group::data),
                                   on(comm, OpKind::all_reduce, Group::data), on(compute, OpKind::backward)}));
  for (Schedule& schedule : ranks) {
    schedule.event_count = 2;
    schedule.ops[0].records = 0, schedule.ops[1].waits = {0};
    schedule.ops[2].records = 1, schedule.ops[3].waits = {1};
  }
  // Computes 10, 20, 30; gathers 5, 7, 1; sums 2; computes 4.
  const Replayed found = replay(pointers(ranks), [](std::size_t rank, OpId op) {
    const double gathers[] = {5, 7, 1};
    return op == 0 ? 10.0 * static_cast<double>(rank + 1) : op == 1 ? gathers[rank] : op == 2 ? 2.0 : 4.0;
  });
  REQUIRE_FALSE(found.problem);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    const std::vector<Timeline::Span>& ops = found.timelines[rank].ops;
    CHECK(ops[1].start_us == 10.0 * static_cast<double>(rank + 1));
    CHECK(ops[1].end_us == 37);
    CHECK(ops[2].end_us == 39);
    CHECK(ops[3].start_us == 39);
    CHECK(ops[3].end_us == 43);
  }
}

TEST_CASE("replay: groups wait for their own members alone", "[schedule]") {
  using enum StreamId;
  // Ranks 0, 1 are one node and 2, 3 another; the second has a collective more, and its own pace.
  const auto members = [](std::size_t rank, Group group) {
    if (group == Group::node) return rank < 2 ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{2, 3};
    return std::vector<std::size_t>{0, 1, 2, 3};
  };
  std::vector<Schedule> ranks;
  for (int rank = 0; rank < 4; ++rank) {
    std::vector<Op> ops = {on(comm, OpKind::gather, Group::node)};
    if (rank >= 2) ops.push_back(on(comm, OpKind::gather, Group::node));
    ops.push_back(on(comm, OpKind::all_reduce, Group::data));
    ranks.push_back(program(rank, std::move(ops)));
  }
  const Replayed found = replay(
      pointers(ranks), [](std::size_t rank, OpId) { return rank < 2 ? 1.0 : 10.0; }, members);
  REQUIRE_FALSE(found.problem);
  CHECK(found.timelines[0].ops[0].end_us == 1);
  CHECK(found.timelines[2].ops[0].end_us == 10);
  for (std::size_t rank = 0; rank < 4; ++rank) CHECK(found.timelines[rank].ops.back().end_us == 30);
  // As one group of all, the ranks of the first node would wait for a gather that they have not.
  CHECK(replay(pointers(ranks)).problem);
}

TEST_CASE("replay: collectives of two groups in opposite orders are a cyclic wait, which names both", "[schedule]") {
  const auto members = [](std::size_t rank, Group group) {
    if (group != Group::node) return std::vector<std::size_t>{0, 1, 2};
    return rank < 2 ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{2};
  };
  const Op of_node = on(StreamId::comm, OpKind::gather, Group::node),
           of_all = on(StreamId::comm, OpKind::all_reduce, Group::data);
  const std::vector<Schedule> ranks = {program(0, {of_node, of_all}), program(1, {of_all, of_node}),
                                       program(2, {of_all})};
  const Replayed found = replay(pointers(ranks), {}, members);
  REQUIRE(found.problem);
  CHECK_THAT(found.problem->message, Catch::Contains("cyclic wait") && Catch::Contains("rank 0 gather unit 0 (op 0)") &&
                                         Catch::Contains("rank 1 all_reduce unit 0 (op 0)"));
  const std::vector<Schedule> alike = {program(0, {of_node, of_all}), program(1, {of_node, of_all}),
                                       program(2, {of_all})};
  CHECK_FALSE(replay(pointers(alike), {}, members).problem);
}

TEST_CASE("replay: a receive starts when its stream is free and ends with its send", "[schedule]") {
  using enum StreamId;
  std::vector<Schedule> ranks = {program(0, {on(comm, OpKind::send)}), program(1, {on(comm, OpKind::receive)})};
  ranks[0].ops[0].peer = 1, ranks[1].ops[0].peer = 0;
  ranks[0].ops.insert(ranks[0].ops.begin(), on(comm, OpKind::accumulate));
  const Replayed found = replay(pointers(ranks), [](std::size_t rank, OpId) { return rank == 0 ? 3.0 : 5.0; });
  REQUIRE_FALSE(found.problem);
  CHECK(found.timelines[1].ops[0].start_us == 0);
  CHECK(found.timelines[1].ops[0].end_us == 8);  // the send begins at 3
  CHECK(found.timelines[0].ops[1].end_us == 8);
}
