// Bytes that ranks take from each other, by ZeRO stage: as the paper's formulas say, summed over uses.

#include "shard/planned_traffic.h"

#include <catch2/catch.hpp>

#include "shard/build_step.h"
#include "shard/rank_classes.h"
#include "tests/shard/random_spec.h"

using namespace trireme;
using trireme::test::RandomSpec;

namespace {

struct Sums {
  Bytes gathers = 0, reduces = 0, gathers_elsewhere = 0;
};

// Of one step, over all ranks; with messages between nodes of `ranks_per_node`.
Sums over_ranks(const ModelSpec& model, StepSpec spec) {
  Sums sums;
  for (spec.rank = 0; spec.rank < spec.ranks(); ++spec.rank) {
    const RunPrograms run = build_run(model, spec, {});
    const PlannedTraffic traffic = planned_traffic(*run.find(ScheduleKind::step), spec.nodes);
    sums.gathers += traffic.gathers.total();
    sums.gathers_elsewhere += traffic.gathers.elsewhere;
    sums.reduces += traffic.reduces.total();
  }
  return sums;
}

// Elements of a model whose units' blocks divide by the number of ranks, so that nothing is padding.
ModelSpec even_model(int ranks, bool tied) {
  ModelSpec model = RandomSpec(4).model(3);
  for (UnitSpec& unit : model.units) {
    for (TensorSpec& tensor : unit.tensors) tensor.rows = 1, tensor.cols = 1024 * ranks;
    if (unit.kind == UnitKind::head && !tied) unit.tied.reset();
    if (unit.kind == UnitKind::head && tied) unit.tied = TiedTensor{0, 0};
  }
  return model;
}

Elems elems(const ModelSpec& model) {
  Elems sum = 0;
  for (const UnitSpec& unit : model.units)
    for (const TensorSpec& tensor : unit.tensors) sum += tensor.elems();
  return sum;
}

}  // namespace

TEST_CASE("planned_traffic: stages 0 to 2 move each parameter once and each gradient once, stage 3 each use") {
  for (const int ranks : {1, 2, 3, 8}) {
    const ModelSpec model = even_model(ranks, false);
    const Elems psi = elems(model), embedding = model.units[0].tensors.size() * 1024 * static_cast<Elems>(ranks);
    const Elems head = static_cast<Elems>(model.units.back().tensors.size()) * 1024 * ranks;
    StepSpec spec{.mesh = {.data = ranks}, .microbatches = ranks};
    for (spec.zero = 0; spec.zero <= 3; ++spec.zero) {
      CAPTURE(ranks, spec.zero);
      const Sums sums = over_ranks(model, spec);
      CHECK(sums.reduces == 2 * psi * (ranks - 1));
      // Stage 0 gathers f32 sums; in stage 3 blocks are used twice, the embedding (forward) and the head once.
      const Elems gathered = spec.zero == 3 ? 2 * psi - embedding - head : psi;
      CHECK(sums.gathers == (spec.zero == 0 ? 4 : 2) * gathered * (ranks - 1));
    }
  }
}

TEST_CASE("planned_traffic: classes of ranks stand for what all ranks take together") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    RandomSpec random(seed + 4000);
    const ModelSpec model = random.model(2);
    StepSpec spec = random.step(9, 13);
    const Sums expected = over_ranks(model, spec);
    Bytes gathers = 0, reduces = 0;
    for (const RankClass& rank_class : rank_classes(model, spec)) {
      spec.rank = rank_class.rank;
      const PlannedTraffic traffic = planned_traffic(*build_run(model, spec, {}).find(ScheduleKind::step), spec.nodes);
      gathers += rank_class.count * traffic.gathers.total();
      reduces += rank_class.count * traffic.reduces.total();
    }
    CHECK(gathers == expected.gathers);
    CHECK(reduces == expected.reduces);
  }
}

TEST_CASE("planned_traffic: node-local gathering takes each parameter once per rank and node from other nodes") {
  for (const auto& [ranks, node_ranks] : {std::pair(4, 2), {6, 3}, {8, 2}}) {
    CAPTURE(ranks, node_ranks);
    const ModelSpec model = even_model(ranks, true);
    StepSpec spec{.mesh = {.data = ranks}, .microbatches = ranks, .node_ranks = node_ranks};
    spec.nodes.ranks_per_node = node_ranks;
    const Sums sharded = over_ranks(model, spec);
    // Every node holds all parameters once, a rank of N / node_ranks of them comes from itself.
    CHECK(sharded.gathers_elsewhere == 2 * elems(model) * (ranks / node_ranks) * (ranks - node_ranks) / ranks);
    spec.node_ranks = 0;
    CHECK(over_ranks(model, spec).gathers_elsewhere > sharded.gathers_elsewhere);
  }
}
