// Bytes of the training state that a rank holds, by ZeRO stage: as the paper's formulas say, padding of the layout
// included.

#include "shard/planned_states.h"

#include <catch2/catch.hpp>

#include "shard/build_step.h"
#include "shard/flat_layout.h"
#include "tests/shard/random_spec.h"

using namespace trireme;
using trireme::test::RandomSpec;

namespace {

// Elements of all units together, over so many ranks.
Elems slices(const ModelSpec& model, int ranks) {
  Elems sum = 0;
  for (const UnitSpec& unit : model.units) sum += FlatLayout(unit, ranks).slice_elems;
  return sum;
}

Elems tied_elems(const ModelSpec& model) {
  const auto& tied = model.units.back().tied;
  return tied
             ? model.units[static_cast<std::size_t>(tied->unit)].tensors[static_cast<std::size_t>(tied->tensor)].elems()
             : 0;
}

// The sum over all ranks.
PlannedStates over_ranks(const ModelSpec& model, StepSpec spec) {
  PlannedStates all;
  for (spec.rank = 0; spec.rank < spec.ranks(); ++spec.rank) {
    const PlannedStates own = planned_states(*build_run(model, spec, {}).find(ScheduleKind::step));
    all.parameters += own.parameters;
    all.masters += own.masters;
    all.optimizer += own.optimizer;
    all.gradients += own.gradients;
    all.sums += own.sums;
  }
  return all;
}

}  // namespace

TEST_CASE("planned_states: 2 + 2 + 12 bytes a parameter, those of which a stage shards divided by the ranks") {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const ModelSpec model = RandomSpec(seed).model(3, false);
    for (const int ranks : {1, 2, 3, 8}) {
      StepSpec spec{.mesh = {.data = ranks}, .microbatches = 2 * ranks};
      const Elems sharded = ranks * slices(model, ranks), whole = ranks * slices(model, 1);
      for (spec.zero = 0; spec.zero <= 3; ++spec.zero) {
        CAPTURE(seed, ranks, spec.zero);
        const PlannedStates states = over_ranks(model, spec);
        CHECK(states.masters == 4 * (spec.zero == 0 ? whole : sharded));
        CHECK(states.optimizer == 8 * (spec.zero == 0 ? whole : sharded));
        CHECK(states.parameters == 2 * (spec.zero == 0 ? whole : spec.zero == 3 ? sharded : ranks * sharded));
        CHECK(states.gradients == (spec.zero <= 1 ? 2 * ranks * (sharded + tied_elems(model)) : 0));
        CHECK(states.sums == 4 * (sharded + tied_elems(model)));
      }
    }
  }
}

TEST_CASE("planned_states: with node-local gathering every node holds the parameters once more") {
  const ModelSpec model = RandomSpec(5).model(3, false);
  for (const auto& [ranks, node_ranks] : {std::pair(4, 2), {6, 3}, {8, 2}, {3, 3}}) {
    CAPTURE(ranks, node_ranks);
    const StepSpec spec{.mesh = {.data = ranks}, .microbatches = ranks, .node_ranks = node_ranks};
    const PlannedStates states = over_ranks(model, spec);
    const Elems sharded = ranks * slices(model, ranks);
    CHECK(states.parameters == 2 * sharded * (ranks / node_ranks));
    CHECK(states.masters + states.optimizer == 12 * sharded);
    CHECK(states.gradients == 0);
  }
}

TEST_CASE("planned_states: where compute is f32 stages 0 and 3 hold the masters alone") {
  const ModelSpec model = RandomSpec(6).model(3, false);
  StepSpec spec{.mesh = {.data = 3}, .microbatches = 3, .compute = DType::f32, .wire = DType::f32};
  for (const int zero : {0, 3}) {
    spec.zero = zero;
    CHECK(over_ranks(model, spec).parameters == 0);
    CHECK(over_ranks(model, spec).masters == 12 * slices(model, zero == 0 ? 1 : 3));
  }
}
