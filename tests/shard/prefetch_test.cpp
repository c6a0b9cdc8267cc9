// The printed programs show gathers ahead of their use, as far as they should be, and a release for whatever peers read.

#include "shard/passes/prefetch.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "runtime/schedule/happens_before.h"
#include "shard/build_step.h"
#include "tests/shard/random_spec.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using trireme::test::RandomSpec;

namespace {

const Buffer& buffer(const Schedule& schedule, BufferId id) { return schedule.buffers[static_cast<std::size_t>(id)]; }
const Op& op_of(const Schedule& schedule, OpId id) { return schedule.ops[static_cast<std::size_t>(id)]; }
OpId end_of(const Schedule& schedule) { return static_cast<OpId>(schedule.ops.size()); }

/// A run of compute ops that reads one gathered unit, found in the finished program.
struct Use {
  BufferId full = 0;
  OpId first = 0, last = 0;
  std::vector<OpId> gathers;  // of the unit, and of a tied tensor
  bool is_carried = false;
};

std::vector<Use> find_uses(const Schedule& schedule) {
  std::vector<Use> uses;
  for (OpId id = 0; id < end_of(schedule); ++id) {
    const Op& op = op_of(schedule, id);
    if (!op.has(Slot::parameters)) continue;
    const BufferId full = op.at(Slot::parameters);
    if (uses.empty() || uses.back().full != full) uses.push_back({.full = full, .first = id});
    uses.back().last = id;
  }
  for (Use& use : uses) {
    use.is_carried = buffer(schedule, use.full).lifetime == Lifetime::carried;
    for (OpId id = 0; id < end_of(schedule); ++id)
      if (const Op& op = op_of(schedule, id); op.kind == OpKind::gather && op.has(Slot::full) &&
                                                  op_of(schedule, use.first).reads(op.at(Slot::full)))
        use.gathers.push_back(id);
  }
  return uses;
}

using Check = std::function<void(const RunPrograms&, const StepSpec&)>;

// Programs of the first and the last rank, which may have no microbatch in the last round.
void for_all_specs(const Check& check) {
  for (std::uint32_t seed = 0; seed < (is_sanitized ? 2u : 6u); ++seed)
    for (const int ranks : {1, 2, 3, 5})
      for (const int microbatches : {ranks, 2 * ranks + 1})
        for (const int rank : {0, ranks - 1})
          for (int k = 0; k <= 3; ++k) {
            RandomSpec random(seed);
            const ModelSpec model = random.model(4);
            const StepSpec spec{.mesh = {.data = ranks}, .rank = rank, .microbatches = microbatches, .prefetch = k,
                                .recompute = static_cast<Recompute>(seed % 4), .nodes = random.nodes(ranks),
                                .compute = random.coin() ? DType::bf16 : DType::f32};
            CAPTURE(seed, ranks, microbatches, rank, k);
            check(build_run(model, spec, {.validate = true, .sample = true}, &model), spec);
          }
}

// Gathers of all but the first `free` uses stand behind the last op of use u-k-1 and before the first op of use u-k;
// the others stand before any use.
void check_distance(const Schedule& schedule, const std::vector<Use>& uses, std::size_t k) {
  const HappensBefore order(schedule);
  for (std::size_t u = 0; u < uses.size(); ++u) {
    CAPTURE(name(schedule.kind), u, uses.size());
    if (uses[u].is_carried) continue;
    REQUIRE(!uses[u].gathers.empty());
    for (const OpId gather : uses[u].gathers) {
      CHECK(order.before(gather, uses[u].first));
      CHECK(gather < uses[u < k ? 0 : u - k].first);
      if (u > k) CHECK(order.before(uses[u - k - 1].last, gather));
    }
  }
}

}  // namespace

TEST_CASE("build_run: a gather runs k uses ahead of its use, bounded by the use k + 1 before") {
  for_all_specs([](const RunPrograms& run, const StepSpec& spec) {
    for (const ScheduleKind kind : {ScheduleKind::step, ScheduleKind::validate, ScheduleKind::sample}) {
      const Schedule& schedule = *run.find(kind);
      const std::vector<Use> uses = find_uses(schedule);
      check_distance(schedule, uses, std::min(static_cast<std::size_t>(spec.prefetch), uses.size() - 1));
    }
  });
}

TEST_CASE("build_run: the first k uses of a step are gathered at the end of the step before, behind their updates, or in enter") {
  for_all_specs([](const RunPrograms& run, const StepSpec& spec) {
    const Schedule& step = *run.find(ScheduleKind::step);
    const HappensBefore order(step);
    const std::vector<Use> uses = find_uses(step);
    const std::size_t k = std::min(static_cast<std::size_t>(spec.prefetch), uses.size() - 1);
    std::vector<std::string> carried;
    for (std::size_t u = 0; u < uses.size(); ++u) {
      CAPTURE(u);
      CHECK(uses[u].is_carried == (u < k));
      if (u >= k) continue;
      REQUIRE(!uses[u].gathers.empty());
      for (const OpId gather : uses[u].gathers) {
        carried.push_back(buffer(step, op_of(step, gather).at(Slot::full)).name);
        for (OpId id = 0; id < end_of(step); ++id)
          if (op_of(step, id).kind == OpKind::update && op_of(step, id).unit == op_of(step, gather).unit)
            CHECK(order.before(id, gather));
      }
    }
    const Schedule* enter = run.find(ScheduleKind::enter);
    REQUIRE((enter != nullptr) == (k > 0));
    std::vector<std::string> entered;
    if (enter)
      for (const Op& op : enter->ops) {
        CHECK(op.kind == OpKind::gather);
        entered.push_back(buffer(*enter, op.at(Slot::full)).name);
      }
    CHECK(entered == carried);
  });
}

TEST_CASE("build_run: what peers gather or reduce is released before it is written again") {
  for_all_specs([](const RunPrograms& run, const StepSpec&) {
    std::set<std::string> read_by_peers;  // values not yet released, by name: slices outlive a schedule
    int releases = 0;
    using enum ScheduleKind;
    for (const ScheduleKind kind : {enter, step, step, validate, enter, step}) {
      const Schedule* schedule = run.find(kind);
      if (!schedule) continue;
      const HappensBefore order(*schedule);
      std::vector<std::optional<OpId>> released(schedule->buffers.size());
      for (OpId id = 0; id < end_of(*schedule); ++id) {
        const Op& op = op_of(*schedule, id);
        CAPTURE(name(kind), describe(*schedule, id));
        for (const BufferId b : op.writes()) {
          if (!buffer(*schedule, b).exported) continue;
          CHECK(read_by_peers.count(buffer(*schedule, b).name) == 0);
          if (const auto release = released[static_cast<std::size_t>(b)]) CHECK(order.before(*release, id));
        }
        for (const BufferId b : op.reads()) {
          if (!buffer(*schedule, b).exported) continue;
          const std::string& value = buffer(*schedule, b).name;
          if (op.kind == OpKind::gather || op.kind == OpKind::reduce) read_by_peers.insert(value);
          if (op.kind != OpKind::release) continue;
          CHECK(read_by_peers.erase(value) == 1);
          released[static_cast<std::size_t>(b)] = id;
          ++releases;
        }
      }
      // A gradient does not outlive its step: each has been released.
      for (const std::string& value : read_by_peers) CHECK(value.find("grad") == std::string::npos);
    }
    CHECK(releases > 0);
  });
}

TEST_CASE("plan_run: bytes of a gradient that peers read are written again behind its release alone") {
  for_all_specs([](const RunPrograms& built, const StepSpec&) {
    RunPrograms run = built;
    plan_run(run, INT64_MAX);
    const Schedule& step = *run.find(ScheduleKind::step);
    const HappensBefore order(step);
    std::vector<std::optional<OpId>> first(step.buffers.size()), release(step.buffers.size());
    for (OpId id = 0; id < end_of(step); ++id)
      for (const Operand& operand : op_of(step, id).operands) {
        const auto b = static_cast<std::size_t>(operand.buffer);
        if (!first[b]) first[b] = id;
        if (op_of(step, id).kind == OpKind::release) release[b] = id;
      }
    const auto shares_bytes = [](const Buffer& a, const Buffer& b) {
      return a.offset && b.offset && *a.offset < *b.offset + b.bytes() && *b.offset < *a.offset + a.bytes();
    };
    for (std::size_t gradient = 0; gradient < step.buffers.size(); ++gradient) {
      if (!step.buffers[gradient].exported || step.buffers[gradient].lifetime != Lifetime::step) continue;
      REQUIRE(release[gradient].has_value());
      for (std::size_t later = 0; later < step.buffers.size(); ++later)
        if (later != gradient && first[later] && *first[later] > *first[gradient] && shares_bytes(step.buffers[gradient], step.buffers[later])) {
          CAPTURE(step.buffers[gradient].name, step.buffers[later].name);
          CHECK(order.before(*release[gradient], *first[later]));
        }
    }
  });
}
