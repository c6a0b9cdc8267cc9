#include "shard/passes/node_shard.h"

#include <map>

#include "shard/flat_layout.h"
#include "tests/shard/passes/pass_case.h"
#include "tests/shard/passes/traced_values.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 40;
constexpr std::initializer_list<ScheduleKind> all_kinds = {init,     load,     step,  step_with_audit,
                                                           diagnose, validate, sample};

// One to three nodes of one to four ranks, turned over by the rank that was drawn.
void put_on_nodes(StepSpec& spec) {
  spec.zero = 3;
  spec.node_ranks = spec.mesh.data % 4 + 1;
  spec.mesh.data = spec.node_ranks * (spec.microbatches % 3 + 1);
  spec.rank %= spec.mesh.data;
}

void for_nodes(std::initializer_list<ScheduleKind> kinds, const Check& check) {
  for_cases(cases, kinds, put_on_nodes, check);
}

Schedule on_nodes(const PassCase& c, ScheduleKind kind) {
  return node_shard(c.before("node_shard", kind), c.model, c.spec_of(kind));
}

int nodes(const StepSpec& spec) { return spec.ranks() / spec.node_ranks; }

Elems node_elems(const PassCase& c, const Op& op) {
  return FlatLayout(c.model.units[static_cast<std::size_t>(*op.unit)], c.spec.ranks()).slice_elems * nodes(c.spec);
}

std::vector<int> ranks_of_node(const StepSpec& spec) {
  std::vector<int> ranks;
  const int first = spec.rank - spec.rank % spec.node_ranks;
  for (int r = first; r < first + spec.node_ranks; ++r) ranks.push_back(r);
  return ranks;
}

std::vector<Contribution> exported_by(const std::vector<int>& ranks) {
  std::vector<Contribution> list;
  for (const int r : ranks) list.push_back({r, {}});
  return list;
}

/// By unit: for each block of this rank's node slice the element of the unit that lies there.
using NodeSlices = std::map<int, std::vector<Elems>>;

// What one rank's program leaves in its node slices.
NodeSlices filled_by(const Schedule& s, const PassCase& c) {
  NodeSlices slices;
  for (const Op& op : s.ops) {
    if (op.kind != OpKind::gather || is_for_a_use(s, op)) continue;
    const std::vector<int>& to = to_list(s, op);
    if (std::find(to.begin(), to.end(), s.rank) == to.end()) continue;
    std::vector<Elems>& slice = slices[*op.unit];
    CHECK(slice.empty());
    for (Elems e = op.range.begin; e < op.range.begin + op.range.elems; e += block_elems) {
      CHECK(e / op.range.slice_elems < c.spec.ranks());  // from the slice of a rank
      slice.push_back(e);
    }
  }
  return slices;
}

}  // namespace

TEST_CASE("node_shard: a gather before a use reads persistent node slices, from ranks of its node alone") {
  for_nodes({step, step_with_audit, diagnose, validate, sample}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule ordered = c.before("node_shard", kind), s = on_nodes(c, kind);
    const auto for_use = [](const Schedule& schedule) {
      return ops_where(schedule, [&](const Op& op) { return is_for_a_use(schedule, op); });
    };
    const std::vector<Op> was = for_use(ordered), is = for_use(s);
    REQUIRE(was.size() == is.size());
    REQUIRE(!is.empty());
    const std::vector<int> node = ranks_of_node(c.spec);
    std::map<int, BufferId> slice_of;  // by unit
    for (std::size_t n = 0; n < is.size(); ++n) {
      const Op& op = is[n];
      const Buffer& slice = buffer(s, op, Slot::slice);
      CHECK(op.group == Group::node);
      CHECK(slice.lifetime == Lifetime::persistent);
      CHECK(slice.exported);
      CHECK(slice.type == c.spec.compute);
      CHECK(slice.elems == node_elems(c, op));
      CHECK(slice_of.try_emplace(*op.unit, op.at(Slot::slice)).first->second == op.at(Slot::slice));
      CHECK(op.range == FlatRange{was[n].range.begin, was[n].range.elems, node_elems(c, op)});
      CHECK(from_list(s, op) == exported_by(node));
      std::vector<int> to;
      for (const int r : to_list(ordered, was[n]))
        if (std::find(node.begin(), node.end(), r) != node.end()) to.push_back(r);
      CHECK(to_list(s, op) == to);
      CHECK(op.at(Slot::full) == was[n].at(Slot::full));
      CHECK(op.bytes == was[n].bytes);
    }
  });
}

TEST_CASE("node_shard: behind each op that makes a slice each place of a node gathers it from all ranks") {
  for_nodes({init, load, step, step_with_audit}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = on_nodes(c, kind);
    std::size_t made = 0;
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      for (const BufferId slice : s.ops[i].writes()) {
        if (!buffer(s, slice).exported || !buffer(s, slice).unit || buffer(s, slice).role != Role::parameters) continue;
        ++made;
        const auto places = static_cast<std::size_t>(c.spec.node_ranks);
        REQUIRE(i + places + 1 < s.ops.size());
        for (std::size_t place = 0; place < places; ++place) {
          const Op& gather = s.ops[i + 1 + place];
          REQUIRE(gather.kind == OpKind::gather);
          CHECK(gather.at(Slot::slice) == slice);
          CHECK(gather.group == Group::data);
          CHECK(gather.unit == s.ops[i].unit);
          CHECK(from_list(s, gather) == c.spec.exporters());
          for (const int r : c.spec.all_ranks()) {
            const std::vector<int>& to = to_list(s, gather);
            CHECK((std::find(to.begin(), to.end(), r) != to.end()) ==
                  (r % c.spec.node_ranks == static_cast<int>(place)));
          }
          CHECK(gather.range.elems == node_elems(c, gather));
          CHECK(gather.range.slice_elems * nodes(c.spec) == node_elems(c, gather));
          CHECK(gather.bytes == gather.range.elems * size_bytes(c.spec.compute));
        }
        const Op& release = s.ops[i + 1 + places];
        CHECK(release.kind == OpKind::release);
        CHECK(release.group == Group::data);
        CHECK(release.at(Slot::exported) == slice);
        if (buffer(s, slice).content == Content::exported) CHECK(buffer(s, slice).lifetime == Lifetime::step);
      }
    CHECK(made > 0);
  });
}

TEST_CASE("node_shard: over all ranks a use finds every element of its unit where its node keeps it") {
  for (std::uint32_t seed = 0; seed < random_cases(20); ++seed) {
    CAPTURE(seed);
    PassCase c(seed, put_on_nodes);
    std::vector<NodeSlices> by_rank;
    for (c.spec.rank = 0; c.spec.rank < c.spec.ranks(); ++c.spec.rank)
      by_rank.push_back(filled_by(on_nodes(c, init), c));
    for (c.spec.rank = 0; c.spec.rank < c.spec.ranks(); ++c.spec.rank) {
      CAPTURE(c.spec.rank);
      const Schedule s = on_nodes(c, step);
      for (const Op& op : s.ops) {
        if (!is_for_a_use(s, op)) continue;
        for (Elems e = op.range.begin; e < op.range.begin + op.range.elems; e += block_elems) {
          const auto place = static_cast<std::size_t>(e / op.range.slice_elems);
          REQUIRE(place < from_list(s, op).size());
          const auto owner = static_cast<std::size_t>(from_list(s, op)[place].rank);
          REQUIRE(by_rank[owner].at(*op.unit).at(static_cast<std::size_t>(e % op.range.slice_elems / block_elems)) ==
                  e);
        }
      }
    }
  }
}

TEST_CASE("node_shard: gradients, masters and states stay sharded over all ranks") {
  for_nodes(all_kinds, [](const PassCase& c, ScheduleKind kind) {
    const Schedule ordered = c.before("node_shard", kind), s = on_nodes(c, kind);
    for (std::size_t b = 0; b < ordered.buffers.size(); ++b) {
      Buffer as_was = s.buffers[b];
      if (as_was.content == Content::exported) as_was.lifetime = ordered.buffers[b].lifetime;
      CHECK(as_was == ordered.buffers[b]);
    }
    const auto others = [](const Op& op) { return op.kind != OpKind::gather && op.kind != OpKind::release; };
    CHECK(ops_where(s, others) == ops_where(ordered, others));
  });
}

TEST_CASE("node_shard: every op computes from the values that gathering from all ranks gives it") {
  for_nodes(all_kinds, [](const PassCase& c, ScheduleKind kind) {
    const StepSpec spec = c.spec_of(kind);
    check_values_stay(c, "node_shard", kind, [&](const Schedule& s) { return node_shard(s, c.model, spec); });
  });
}
