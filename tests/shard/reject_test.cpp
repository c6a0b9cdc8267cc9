// Built programs with one fault planted: check must refuse each and name the op.

#include <catch2/catch.hpp>

#include <algorithm>

#include "runtime/schedule/check/check.h"
#include "shard/build_step.h"
#include "tests/shard/random_spec.h"

using namespace trireme;

namespace {

/// A step of a small model on one of three ranks, whose five microbatches leave one rank out of the last round.
struct Built {
  ModelSpec model;
  std::vector<RunPrograms> ranks;

  Built() {
    test::RandomSpec random(3);
    while (model.units.size() != 4 || !model.units.back().tied) model = random.model(2);
    for (int rank = 0; rank < 3; ++rank) {
      ranks.push_back(
          build_run(model, {.mesh = {.data = 3}, .rank = rank, .microbatches = 5, .prefetch = 1}, {.validate = true}));
      plan_run(ranks.back(), INT64_MAX);
    }
  }
  Schedule step(int rank = 0) const { return *ranks[static_cast<std::size_t>(rank)].find(ScheduleKind::step); }
};

OpId find(const Schedule& schedule, OpKind kind, int skip = 0) {
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id)
    if (schedule.ops[static_cast<std::size_t>(id)].kind == kind && skip-- == 0) return id;
  FAIL("no such op");
  return 0;
}

// The message of check, which must name an op by its number.
std::string problem_of(const Schedule& schedule) {
  const std::optional<Problem> problem = check(schedule);
  if (!problem) return "";
  CHECK(problem->message.find("op ") != std::string::npos);
  return problem->message;
}

void unplan(Schedule& schedule) {
  for (Buffer& buffer : schedule.buffers) buffer.offset.reset();
}

}  // namespace

TEST_CASE("check: every single wait of a step is needed, and missed when it is gone") {
  const Schedule step = Built().step();
  REQUIRE_FALSE(check(step));
  int removed = 0, missed = 0;
  for (std::size_t op = 0; op < step.ops.size(); ++op)
    for (std::size_t w = 0; w < step.ops[op].waits.size(); ++w) {
      const EventId event = step.ops[op].waits[w];
      const bool is_boundary = std::any_of(step.boundary_events.begin(), step.boundary_events.end(),
                                           [&](const BoundaryEvent& b) { return b.event == event; });
      if (is_boundary) continue;  // those are proved in sequence
      Schedule faulty = step;
      faulty.ops[op].waits.erase(faulty.ops[op].waits.begin() + static_cast<std::ptrdiff_t>(w));
      ++removed;
      missed += problem_of(faulty).empty() ? 0 : 1;
    }
  CHECK(removed > 20);
  CHECK(missed == removed);
}

TEST_CASE("check: a boundary wait that is gone is missed in the sequence") {
  const Built built;
  const Schedule step = built.step();
  const Schedule* enter = built.ranks[0].find(ScheduleKind::enter);
  int removed = 0, missed = 0;
  // Op 0 waits for the end of comm in any case: what a step does last there is ordered by its own updates, too.
  for (std::size_t op = 1; op < step.ops.size(); ++op)
    for (std::size_t w = 0; w < step.ops[op].waits.size(); ++w) {
      Schedule faulty = step;
      const EventId event = step.ops[op].waits[w];
      const bool is_boundary = std::any_of(step.boundary_events.begin(), step.boundary_events.end(),
                                           [&](const BoundaryEvent& b) { return b.event == event; });
      if (!is_boundary) continue;
      faulty.ops[op].waits.erase(faulty.ops[op].waits.begin() + static_cast<std::ptrdiff_t>(w));
      const Schedule* sequence[] = {enter, &faulty, &faulty};
      ++removed;
      missed += check_sequence(sequence) ? 1 : 0;
    }
  CHECK(removed >= 3);
  CHECK(missed == removed);
}

TEST_CASE("check: a release that is dropped or moved behind the writer is refused") {
  const Schedule step = Built().step();
  for (int skip = 0; skip < 6; ++skip) {
    Schedule dropped = step;
    dropped.ops.erase(dropped.ops.begin() + find(step, OpKind::release, skip));
    CHECK_FALSE(problem_of(dropped).empty());
  }
  Schedule moved = step;
  const OpId update = find(step, OpKind::update);
  const BufferId exported = moved.ops[static_cast<std::size_t>(update)].at(Slot::exported);
  const auto release = std::find_if(moved.ops.begin(), moved.ops.end(), [&](const Op& op) {
    return op.kind == OpKind::release && op.at(Slot::exported) == exported;
  });
  REQUIRE(release != moved.ops.end());
  Op late = *release;
  const auto place = release - moved.ops.begin();
  moved.ops.erase(release);
  moved.ops.insert(moved.ops.begin() + update, late);
  REQUIRE(place < update);
  CHECK_FALSE(problem_of(moved).empty());
}

TEST_CASE("check: an update above the verdict that it obeys is refused") {
  Schedule step = Built().step();
  unplan(step);
  const OpId verdict = find(step, OpKind::verdict), update = find(step, OpKind::update);
  REQUIRE(verdict < update);
  Op early = step.ops[static_cast<std::size_t>(update)];
  step.ops.erase(step.ops.begin() + update);
  step.ops.insert(step.ops.begin() + verdict, early);
  CHECK_THAT(problem_of(step), Catch::Contains("makes verdict anew, which update unit 0"));
}

TEST_CASE("check: a gather that is dropped is refused") {
  const Schedule step = Built().step();
  for (int skip = 0; skip < 4; ++skip) {
    Schedule dropped = step;
    const OpId gather = find(step, OpKind::gather, skip);
    const std::string full =
        step.buffers[static_cast<std::size_t>(step.ops[static_cast<std::size_t>(gather)].at(Slot::full))].name;
    dropped.ops.erase(dropped.ops.begin() + gather);
    CAPTURE(full);
    CHECK_FALSE(problem_of(dropped).empty());
  }
}

TEST_CASE("check: buffers that overlap while both are alive are refused") {
  const Schedule step = Built().step();
  const Op& backward = step.ops[static_cast<std::size_t>(find(step, OpKind::backward))];
  Schedule faulty = step;
  faulty.buffers[static_cast<std::size_t>(backward.at(Slot::gradient))].offset =
      step.buffers[static_cast<std::size_t>(backward.at(Slot::parameters))].offset;
  CHECK_FALSE(problem_of(faulty).empty());
}

TEST_CASE("check: an add out of microbatch order is refused") {
  Schedule step = Built().step();
  const OpId first = find(step, OpKind::reduce), last = [&] {
    const BufferId accumulator = step.ops[static_cast<std::size_t>(first)].at(Slot::accumulator);
    for (OpId id = first + 1;; ++id) {
      const Op& op = step.ops[static_cast<std::size_t>(id)];
      if (op.kind == OpKind::reduce && op.at(Slot::accumulator) == accumulator) return id;
    }
  }();
  std::swap(step.ops[static_cast<std::size_t>(first)].from, step.ops[static_cast<std::size_t>(last)].from);
  CHECK_FALSE(problem_of(step).empty());
  Schedule shuffled = Built().step();
  auto& list = shuffled.from_lists[static_cast<std::size_t>(*shuffled.ops[static_cast<std::size_t>(first)].from)];
  std::reverse(list.begin(), list.end());
  CHECK_FALSE(problem_of(shuffled).empty());
}

TEST_CASE("check_ranks: a collective order that differs between two ranks is refused, with both lines") {
  const Built built;
  const Schedule right = built.step(0);
  Schedule faulty = built.step(1);
  unplan(faulty);
  const OpId one = find(faulty, OpKind::reduce, 2), two = find(faulty, OpKind::reduce, 3);
  std::swap(faulty.ops[static_cast<std::size_t>(one)], faulty.ops[static_cast<std::size_t>(two)]);
  const Schedule* ranks[] = {&right, &faulty};
  const std::optional<Problem> problem = check_ranks(ranks);
  REQUIRE(problem);
  CHECK(problem->message.find("reduce") != std::string::npos);
}

TEST_CASE("check_ranks: a cyclic wait over rank classes is refused") {
  // Both ranks receive from the other before they send: neither ever sends.
  Schedule one{.kind = ScheduleKind::step, .rank = 0, .world = 2},
      two{.kind = ScheduleKind::step, .rank = 1, .world = 2};
  for (const OpKind kind : {OpKind::receive, OpKind::send}) {
    one.ops.push_back({.kind = kind, .stream = StreamId::comm, .group = Group::data, .bytes = 8, .peer = 1});
    two.ops.push_back({.kind = kind, .stream = StreamId::comm, .group = Group::data, .bytes = 8, .peer = 0});
  }
  const Schedule* ranks[] = {&one, &two};
  const std::optional<Problem> problem = check_ranks(ranks);
  REQUIRE(problem);
  CHECK(problem->message.find("receive") != std::string::npos);
  std::swap(two.ops[0], two.ops[1]);
  CHECK_FALSE(check_ranks(ranks));
}
