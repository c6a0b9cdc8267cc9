#include "shard/build_step.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "runtime/schedule/check/check.h"
#include "runtime/schedule/text/text.h"
#include "shard/check_run.h"
#include "shard/flat_layout.h"
#include "shard/rank_classes.h"
#include "tests/runtime/schedule/persistent_bytes.h"
#include "tests/shard/random_spec.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using trireme::test::RandomSpec;

namespace {

std::vector<RunPrograms> all_classes(const ModelSpec& model, StepSpec spec) {
  std::vector<RunPrograms> runs;
  for (const RankClass& rank_class : rank_classes(model, spec)) {
    spec.rank = rank_class.rank;
    runs.push_back(build_run(model, spec, {.validate = true, .sample = true, .diagnose = spec.rank % 3 == 0}, &model));
  }
  return runs;
}

}  // namespace

TEST_CASE("build_run: every program of a thousand random specs passes check, alone, in sequence and over ranks") {
  for (std::uint32_t seed = 0; seed < random_cases(1000); ++seed) {
    CAPTURE(seed);
    RandomSpec random(seed);
    const ModelSpec model = random.model(5);
    const StepSpec spec = random.step(9, 13);
    REQUIRE_NOTHROW(check_run(all_classes(model, spec)));
  }
}

TEST_CASE("plan_run: planned programs pass check by bytes, and the transient peak is near its lower bound") {
  std::uint32_t within_3_percent = 0;
  constexpr std::uint32_t specs = random_cases(1000);
  for (std::uint32_t seed = 0; seed < specs; ++seed) {
    CAPTURE(seed);
    RandomSpec random(seed + 5000);
    const ModelSpec model = random.model(6);
    StepSpec spec = random.step(8, 9);
    RunPrograms run = build_run(model, spec, {.validate = true, .sample = true, .diagnose = true}, &model);
    const MemoryPlan plan = plan_run(run, INT64_MAX);
    REQUIRE_NOTHROW(check_run({run}));
    const Bytes base = test::persistent_bytes(*run.find(ScheduleKind::step));
    const double transient = static_cast<double>(plan.device.peak_bytes - base);
    const double bound = static_cast<double>(plan.device.lower_bound_bytes - base);
    CHECK(transient <= bound * 1.10 + 65536);
    within_3_percent += transient <= bound * 1.03;
  }
  CAPTURE(within_3_percent);
  CHECK(within_3_percent >= specs * 99 / 100);
}

TEST_CASE("build_run: programs print and parse back") {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    RandomSpec random(seed);
    const ModelSpec model = random.model(3);
    RunPrograms run = build_run(model, random.step(5, 7), {.validate = true, .sample = true, .diagnose = true}, &model);
    plan_run(run, INT64_MAX);
    for (const Schedule& schedule : run.schedules) REQUIRE(parse_schedule(print(schedule)) == schedule);
  }
}

TEST_CASE("states_bytes: 14 bytes times the sum of slices, for any number of ranks") {
  RandomSpec random(7);
  const ModelSpec model = random.model(4);
  for (int ranks : {1, 2, 3, 4, 5, 6, 7, 8, 1000}) {
    StepSpec spec{.mesh = {.data = ranks}, .microbatches = 2 * ranks};
    RunPrograms run = build_run(model, spec, {});
    Elems slices = 0;
    for (const UnitSpec& unit : model.units) slices += FlatLayout(unit, ranks).slice_elems;
    CHECK(plan_run(run, INT64_MAX).device.states_bytes == 14 * slices);
  }
}

TEST_CASE("StepSpec: who takes part is counted as by trying every rank and turn") {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    StepSpec spec = RandomSpec(seed + 11000).step(9, 40);
    for (int turn = 0; turn < spec.turns() + 1; ++turn) {
      int present = 0;
      for (int rank = 0; rank < spec.ranks(); ++rank) present += spec.microbatch_of(turn, rank) < spec.microbatches;
      CHECK(spec.present(turn) == present);
    }
    for (spec.rank = 0; spec.rank < spec.ranks(); ++spec.rank) {
      int turns = 0;
      while (turns < spec.turns() && spec.takes_part(turns)) ++turns;
      CHECK(spec.own_turns() == turns);
    }
    for (int round = 0; round < spec.rounds(); ++round) {
      int next = 0;
      for (const auto& list : spec.contributions(round))
        for (const Contribution& c : list) {
          CHECK(c.rank == next++);
          const bool starts = !spec.takes_whole_groups() && spec.sum_group > 1 && *c.microbatch % spec.sum_group == 0;
          CHECK((c == list.front()) == (c.rank == 0 || starts));
        }
      CHECK(next == spec.present(round * spec.turns_a_round()));
    }
  }
}

TEST_CASE("rank_classes: in any layout of nodes the classes stand for the plans of all ranks") {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    RandomSpec random(seed + 9000);
    const ModelSpec model = random.model(2);
    StepSpec spec = random.step(9, 13);
    const auto peak = [&](int rank) {
      spec.rank = rank;
      RunPrograms run = build_run(model, spec, {});
      return plan_run(run, INT64_MAX).device.peak_bytes;
    };
    std::vector<Bytes> of_ranks, of_classes;
    for (int rank = 0; rank < spec.ranks(); ++rank) of_ranks.push_back(peak(rank));
    for (const RankClass& rank_class : rank_classes(model, spec))
      of_classes.insert(of_classes.end(), static_cast<std::size_t>(rank_class.count), peak(rank_class.rank));
    std::sort(of_ranks.begin(), of_ranks.end());
    std::sort(of_classes.begin(), of_classes.end());
    CHECK(of_ranks == of_classes);
  }
}

TEST_CASE("build_run: a reduce stages what contributors of other nodes send, and nothing else") {
  RandomSpec random(3);
  const ModelSpec model = random.model(2);
  const auto staged = [&](const NodeLayout& nodes, int rank) {
    const StepSpec spec{.mesh = {.data = 5}, .rank = rank, .microbatches = 5, .nodes = nodes};
    const RunPrograms run = build_run(model, spec, {});
    Elems elems = 0, slices = 0;
    for (const Op& op : run.find(ScheduleKind::step)->ops) {
      if (op.kind != OpKind::reduce) continue;
      slices += op.range.owned_by(rank).elems;
      if (const Operand* const staging = op.find(Slot::staging))
        elems += run.find(ScheduleKind::step)->buffers[static_cast<std::size_t>(staging->buffer)].elems;
    }
    return std::pair(elems, slices);
  };
  const auto contributors = [&](const NodeLayout& nodes, int rank) {
    const auto [elems, slices] = staged(nodes, rank);
    REQUIRE(elems % slices == 0);
    return elems / slices;
  };
  CHECK(contributors({}, 0) == 0);
  CHECK(contributors({.node_of = {}, .ranks_per_node = 1}, 3) == 4);
  CHECK(contributors({.node_of = {}, .ranks_per_node = 2}, 3) == 3);
  CHECK(contributors({.node_of = {}, .ranks_per_node = 2}, 4) == 4);
  CHECK(contributors({.node_of = {0, 1, 0, 1, 0}, .ranks_per_node = 0}, 2) == 2);
  CHECK(contributors({.node_of = {0, 1, 0, 1, 0}, .ranks_per_node = 0}, 1) == 3);
}

TEST_CASE("node_layout: ranks beyond the list are on other nodes than those in it") {
  const NodeLayout layout{.node_of = {0, 0, 2, 2}, .ranks_per_node = 2};
  CHECK(layout.share(0, 1));
  CHECK(!layout.share(1, 2));
  CHECK(!layout.share(3, 4));
  CHECK(layout.share(4, 5));
  CHECK(!layout.share(5, 6));
}
