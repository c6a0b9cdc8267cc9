// The pass alone, and finished programs, which show gathers ahead of their use, as far as they should be, and a release
// for whatever peers read.

#include "shard/passes/prefetch.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "runtime/schedule/happens_before.h"
#include "shard/build_step.h"
#include "tests/runtime/schedule/random_schedule.h"
#include "tests/shard/passes/pass_case.h"
#include "tests/shard/passes/traced_values.h"

using namespace trireme;
using namespace trireme::test;

namespace {

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
      if (const Op& op = op_of(schedule, id);
          op.kind == OpKind::gather && op.has(Slot::full) && op_of(schedule, use.first).reads(op.at(Slot::full)))
        use.gathers.push_back(id);
  }
  return uses;
}

using RunCheck = std::function<void(const RunPrograms&, const StepSpec&)>;

// Programs of the first and the last rank, which may have no microbatch in the last round.
void for_all_specs(const RunCheck& check) {
  for (std::uint32_t seed = 0; seed < (is_sanitized ? 2u : 6u); ++seed)
    for (const int ranks : {1, 2, 3, 5})
      for (const int microbatches : {ranks, 2 * ranks + 1})
        for (const int rank : {0, ranks - 1})
          for (int k = 0; k <= 3; ++k) {
            RandomSpec random(seed);
            const ModelSpec model = random.model(4);
            const StepSpec spec{.mesh = {.data = ranks},
                                .rank = rank,
                                .microbatches = microbatches,
                                .prefetch = k,
                                .recompute = static_cast<Recompute>(seed % 4),
                                .nodes = random.nodes(ranks),
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

// What the pass alone gets: programs of stage 3, which gather for every use.
constexpr std::uint32_t cases = 40;
void for_stage_3(std::initializer_list<ScheduleKind> kinds, const Check& check) {
  for_cases(
      cases, kinds, [](StepSpec& spec) { spec.zero = 3; }, check);
}

/// Where the gathers of uses and all other ops of a schedule stand.
struct Split {
  std::vector<std::vector<std::size_t>> gathers;  // by use, in the order of uses
  std::vector<std::size_t> last_op;               // of each use
  explicit Split(const Schedule& s) {
    for (const Use& use : find_uses(s)) {
      gathers.emplace_back(use.gathers.begin(), use.gathers.end());
      last_op.push_back(static_cast<std::size_t>(use.last));
    }
  }
};

// The nearest op above which is no gather for a use.
std::size_t op_above(const Schedule& s, std::size_t at) {
  do REQUIRE(at-- > 0);
  while (is_for_a_use(s, s.ops[at]));
  return at;
}

std::vector<Op> all_but_gathers_of_uses(const Schedule& s) {
  std::vector<Op> others;
  for (const Op& op : s.ops)
    if (!is_for_a_use(s, op)) others.push_back(without_tokens(op));
  return others;
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

TEST_CASE("build_run: the first k uses are gathered at the end of the step before, behind updates, or in enter") {
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
  for_cases(80, {ScheduleKind::step}, {}, [](const PassCase& c, ScheduleKind) {
    RunPrograms run = build_run(c.model, c.spec, {});
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
    for (std::size_t gradient = 0; gradient < step.buffers.size(); ++gradient) {
      const Buffer& b = step.buffers[gradient];
      if (!b.exported || b.lifetime != Lifetime::step) continue;
      REQUIRE(release[gradient].has_value());
      for (std::size_t later = 0; later < step.buffers.size(); ++later)
        if (later != gradient && first[later] && *first[later] > *first[gradient] && overlap(b, step.buffers[later]) &&
            !order.before(*release[gradient], *first[later])) {
          CAPTURE(b.name, step.buffers[later].name);
          FAIL_CHECK("written before it is released");
        }
    }
  });
}

TEST_CASE("prefetch: gathers of use k stand behind use k - distance - 1 and take a token of its last op") {
  using enum ScheduleKind;
  for_stage_3({step, step_with_audit, diagnose, validate, sample}, [](const PassCase& c, ScheduleKind kind) {
    const bool carry = is_step(kind);
    const Schedule s = prefetch(c.before("prefetch", kind), c.spec.prefetch, carry);
    const Split split(s);
    const std::size_t distance = std::min(static_cast<std::size_t>(c.spec.prefetch), split.last_op.size() - 1);
    std::size_t gathers = 0;
    for (std::size_t k = 0; k < split.gathers.size(); ++k) {
      CAPTURE(k, distance);
      REQUIRE(!split.gathers[k].empty());
      gathers += split.gathers[k].size();
      for (const std::size_t gather : split.gathers[k]) {
        const std::vector<BufferId> bounds = tokens_taken(s.ops[gather]);
        CHECK(tokens_given(s.ops[gather]).empty());
        REQUIRE(bounds.size() == (k > distance ? 1 : 0));
        if (k > distance) CHECK(giver(s, bounds.front()) == split.last_op[k - distance - 1]);
        if (k > distance)
          CHECK(op_above(s, gather) == split.last_op[k - distance - 1]);
        else if (!carry || k == distance)
          CHECK(s.ops[op_above(s, gather)].kind == OpKind::step_values);
      }
    }
    CHECK(ops_where(s, [&](const Op& op) { return is_for_a_use(s, op); }).size() == gathers);
    // No token but those.
    for (const Op& op : s.ops)
      if (!is_for_a_use(s, op)) CHECK(tokens_taken(op).empty());
  });
}

TEST_CASE("prefetch: gathers keep the order of their uses, and all other ops theirs") {
  using enum ScheduleKind;
  for_stage_3({step, step_with_audit, diagnose, validate, sample}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("prefetch", kind), s = prefetch(before, c.spec.prefetch, is_step(kind));
    CHECK(all_but_gathers_of_uses(s) == all_but_gathers_of_uses(before));
    const auto gathers = [](const Schedule& schedule, Lifetime lifetime) {
      std::vector<BufferId> full;
      for (const Op& op : schedule.ops)
        if (is_for_a_use(schedule, op) && buffer(schedule, op, Slot::full).lifetime == lifetime)
          full.push_back(op.at(Slot::full));
      return full;
    };
    std::vector<BufferId> is = gathers(s, Lifetime::carried);
    const std::vector<BufferId> behind = gathers(s, Lifetime::step);
    is.insert(is.end(), behind.begin(), behind.end());
    CHECK(is == gathers(before, Lifetime::step));
  });
}

TEST_CASE("prefetch: a step carries the first uses: gathered directly behind the update of the last of their slices") {
  using enum ScheduleKind;
  for_stage_3({step, step_with_audit}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = prefetch(c.before("prefetch", kind), c.spec.prefetch, true);
    const Split split(s);
    const std::size_t distance = std::min(static_cast<std::size_t>(c.spec.prefetch), split.last_op.size() - 1);
    std::size_t behind = 0;  // what the uses so far wait for
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      if (s.ops[i].kind == OpKind::verdict) behind = i;
    for (std::size_t k = 0; k < split.gathers.size(); ++k) {
      CAPTURE(k, distance);
      for (const std::size_t gather : split.gathers[k]) {
        const BufferId slice = s.ops[gather].at(Slot::slice);
        CHECK((buffer(s, s.ops[gather], Slot::full).lifetime == Lifetime::carried) == (k < distance));
        for (std::size_t i = 0; i < s.ops.size(); ++i)
          if (s.ops[i].writes(slice) && k < distance) behind = std::max(behind, i);
      }
      if (k >= distance) continue;
      for (const std::size_t gather : split.gathers[k]) CHECK(op_above(s, gather) == behind);
    }
  });
}

TEST_CASE("prefetch: enter is exactly the gathers that a step carries; without any it has no ops") {
  using enum ScheduleKind;
  for_stage_3({step, step_with_audit}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = prefetch(c.before("prefetch", kind), c.spec.prefetch, true), enter = enter_of(s);
    CHECK(enter.kind == ScheduleKind::enter);
    CHECK(enter.ops == ops_where(s, [&](const Op& op) {
            return op.kind == OpKind::gather && buffer(s, op, Slot::full).lifetime == Lifetime::carried;
          }));
    CHECK(enter.buffers == s.buffers);
    CHECK(enter.ops.empty() == (std::min(static_cast<std::size_t>(c.spec.prefetch), Split(s).last_op.size() - 1) == 0));
    CHECK(enter_of(prefetch(c.before("prefetch", kind), c.spec.prefetch, false)).ops.empty());
  });
}

TEST_CASE("possible_distance: as asked, but one less than the uses at most; none where nothing gathers for a use") {
  for_stage_3({ScheduleKind::step}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("prefetch", kind);
    const auto uses = static_cast<int>(Split(before).last_op.size());
    for (const int asked : {0, 1, uses - 1, uses, uses + 1, 1000})
      CHECK(possible_distance(before, asked) == std::min(asked, uses - 1));
    CHECK(prefetch(before, uses + 7, true) == prefetch(before, uses - 1, true));
    CHECK(possible_distance(c.before("prefetch", ScheduleKind::init), 3) == 0);
  });
}

TEST_CASE("prefetch: two steps behind enter compute from the same values as in blocking order") {
  using enum ScheduleKind;
  for_stage_3({step, step_with_audit}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("prefetch", kind), s = prefetch(before, c.spec.prefetch, true);
    TracedValues blocking, ahead;
    REQUIRE(blocking.run(c.before("prefetch", init)) == ahead.run(c.before("prefetch", init)));
    CHECK(ahead.run(enter_of(s)).empty());
    blocking.run({});  // as many schedules
    for (int turn = 0; turn < 2; ++turn) REQUIRE(blocking.run(before) == ahead.run(s));
  });
  for_stage_3({validate, sample, diagnose}, [](const PassCase& c, ScheduleKind kind) {
    check_values_stay(c, "prefetch", kind, [&](const Schedule& s) { return prefetch(s, c.spec.prefetch, false); });
  });
}

TEST_CASE("prefetch: below stage 3 no use gathers, and nothing moves") {
  using enum ScheduleKind;
  const auto below_3 = [](StepSpec& spec) {
    spec.zero %= 3;
    spec.node_ranks = 0;
  };
  for_cases(cases, {step, step_with_audit, validate}, below_3, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("prefetch", kind);
    CHECK(prefetch(before, c.spec.prefetch, is_step(kind)) == before);
  });
}
