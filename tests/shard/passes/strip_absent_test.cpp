#include "shard/passes/strip_absent.h"

#include <map>
#include <set>
#include <tuple>

#include "runtime/schedule/op_kinds.h"
#include "tests/shard/passes/pass_case.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 50;
constexpr std::initializer_list<ScheduleKind> all_kinds = {init,     load,     step,  step_with_audit,
                                                           diagnose, validate, sample};

Schedule stripped(const PassCase& c, ScheduleKind kind) {
  return strip_absent(c.before("strip_absent", kind), c.spec_of(kind));
}

/// What all ranks must say alike of a collective.
using Collective = std::tuple<OpKind, Group, std::optional<std::int32_t>, Elems, Elems, std::optional<DType>, Bytes,
                              std::vector<std::pair<int, int>>, std::vector<int>>;

std::vector<Collective> collectives(const Schedule& s, Group group) {
  std::vector<Collective> list;
  for (const Op& op : s.ops) {
    if (!is_collective(op.kind) || op.group != group) continue;
    std::vector<std::pair<int, int>> from;
    for (const Contribution& c : from_list(s, op)) from.emplace_back(c.rank, c.microbatch.value_or(-1));
    list.emplace_back(op.kind, op.group, op.unit, op.range.begin, op.range.elems, op.wire, op.bytes, from,
                      to_list(s, op));
  }
  return list;
}

bool is_in(const std::vector<int>& list, int rank) { return std::find(list.begin(), list.end(), rank) != list.end(); }

bool contributes(const std::vector<Contribution>& from, int rank) {
  return std::any_of(from.begin(), from.end(), [&](const Contribution& c) { return c.rank == rank; });
}

// An op with names for numbers of buffers, which the pass changes.
std::pair<Op, std::vector<std::string>> named(const Schedule& s, Op op) {
  std::vector<std::string> names;
  for (Operand& operand : op.operands) names.push_back(buffer(s, std::exchange(operand.buffer, 0)).name);
  return {std::move(op), std::move(names)};
}

}  // namespace

TEST_CASE("strip_absent: every collective stays, and all ranks of a group have equal lists of them") {
  for_cases(cases, all_kinds, {}, [](const PassCase& drawn, ScheduleKind kind) {
    PassCase c = drawn;
    std::vector<Collective> of_all;
    std::map<int, std::vector<Collective>> of_nodes;
    for (c.spec.rank = 0; c.spec.rank < c.spec.ranks(); ++c.spec.rank) {
      CAPTURE(c.spec.rank);
      const Schedule s = stripped(c, kind);
      for (const Group group : {Group::data, Group::node})
        CHECK(collectives(s, group) == collectives(c.before("strip_absent", kind), group));
      const std::vector<Collective> over_all = collectives(s, Group::data), in_node = collectives(s, Group::node);
      if (c.spec.rank == 0) of_all = over_all;
      CHECK(over_all == of_all);
      const int node = c.spec.node_ranks > 0 ? c.spec.rank / c.spec.node_ranks : 0;
      CHECK(in_node == of_nodes.try_emplace(node, in_node).first->second);
    }
  });
}

TEST_CASE("strip_absent: compute of absent microbatches is gone; other compute loses only what nothing writes") {
  for_cases(cases, all_kinds, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("strip_absent", kind), s = stripped(c, kind);
    const int microbatches = c.spec_of(kind).microbatches;
    std::set<std::string> made;
    for (const Op& op : s.ops)
      for (const BufferId id : op.writes()) made.insert(buffer(s, id).name);
    std::vector<std::pair<Op, std::vector<std::string>>> was, is;
    for (Op op : before.ops) {
      if (op.stream != StreamId::compute || (op.microbatch && *op.microbatch >= microbatches)) continue;
      std::erase_if(op.operands, [&](const Operand& operand) {
        const Buffer& b = buffer(before, operand.buffer);
        return b.lifetime == Lifetime::step && !made.contains(b.name);
      });
      was.push_back(named(before, without_tokens(std::move(op))));
    }
    for (const Op& op : s.ops)
      if (op.stream == StreamId::compute) is.push_back(named(s, without_tokens(op)));
    CHECK(is == was);
  });
}

TEST_CASE("strip_absent: a gather has `full` where the rank is in `to`, a reduce its gradient where in `from`") {
  for_cases(cases, all_kinds, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = stripped(c, kind);
    for (const Op& op : s.ops) {
      if (op.kind == OpKind::gather) CHECK(op.has(Slot::full) == is_in(to_list(s, op), c.spec.rank));
      if (op.kind == OpKind::gather) CHECK(op.has(Slot::slice));
      if (op.kind == OpKind::reduce) CHECK(op.has(Slot::gradient) == contributes(from_list(s, op), c.spec.rank));
      if (op.kind == OpKind::reduce) CHECK(op.has(Slot::accumulator));
    }
  });
}

TEST_CASE("strip_absent: what is read was written above or outlives schedules; every other buffer is used") {
  for_cases(cases, all_kinds, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("strip_absent", kind), s = stripped(c, kind);
    std::set<BufferId> written, used;
    for (const Op& op : s.ops) {
      for (const Operand& operand : op.operands) {
        used.insert(operand.buffer);
        if (operand.reads() && buffer(s, operand.buffer).lifetime == Lifetime::step) {
          CAPTURE(name(op.kind), buffer(s, operand.buffer).name);
          CHECK(written.contains(operand.buffer));
        }
      }
      written.insert(op.writes().begin(), op.writes().end());
    }
    std::vector<Buffer> persistent, persistent_before;
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
      if (s.buffers[b].lifetime == Lifetime::persistent)
        persistent.push_back(s.buffers[b]);
      else
        CHECK(used.contains(static_cast<BufferId>(b)));
    }
    for (const Buffer& b : before.buffers)
      if (b.lifetime == Lifetime::persistent) persistent_before.push_back(b);
    CHECK(persistent == persistent_before);
  });
}

TEST_CASE("strip_absent: a release stays where something makes what it releases, and goes where nothing does") {
  for_cases(cases, all_kinds, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("strip_absent", kind), s = stripped(c, kind);
    const auto releases = [](const Schedule& schedule) {
      return ops_where(schedule, [](const Op& op) { return op.kind == OpKind::release; });
    };
    std::set<std::string> made;
    for (const Op& op : s.ops)
      for (const BufferId id : op.writes()) made.insert(buffer(s, id).name);
    std::vector<std::string> expected, is;
    for (const Op& op : releases(before)) {
      const Buffer& exported = buffer(before, op, Slot::exported);
      if (exported.lifetime == Lifetime::persistent || made.contains(exported.name)) expected.push_back(exported.name);
    }
    for (const Op& op : releases(s)) is.push_back(buffer(s, op, Slot::exported).name);
    CHECK(is == expected);
  });
}

TEST_CASE("strip_absent: a rank with a microbatch in every turn, on no other's behalf, keeps every op and operand") {
  const auto all_take_part = [](StepSpec& spec) {
    spec.microbatches = spec.ranks() * spec.sum_group * 2;
    spec.node_ranks = 0;
  };
  for_cases(cases, all_kinds, all_take_part, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("strip_absent", kind), s = stripped(c, kind);
    REQUIRE(s.ops.size() == before.ops.size());
    for (std::size_t i = 0; i < s.ops.size(); ++i) CHECK(named(s, s.ops[i]) == named(before, before.ops[i]));
  });
}

TEST_CASE("strip_absent: without what gives it a token is taken by nobody, and a collective stays whatever it names") {
  const StepSpec spec{.mesh = {.data = 2}, .rank = 1, .microbatches = 1};
  Schedule s{.rank = 1, .world = 2};
  s.from_lists = {{{0, 0}}};
  s.to_lists = {{0, 1}};
  s.buffers = {{.name = "gradient", .role = Role::gradients, .type = DType::f32, .elems = 8, .exported = true},
               {.name = "sum", .role = Role::gradients, .type = DType::f32, .elems = 4},
               {.name = "freed", .role = Role::token},
               {.name = "kept", .role = Role::token},
               {.name = "x", .role = Role::activations, .type = DType::f32, .elems = 8}};
  s.ops = {{.kind = OpKind::backward, .microbatch = 1, .operands = {writes(Slot::gradient, 0)}},
           {.kind = OpKind::reduce,
            .stream = StreamId::comm,
            .group = Group::data,
            .microbatch = 1,
            .operands = {reads(Slot::gradient, 0), writes(Slot::accumulator, 1), gives(3)},
            .from = 0,
            .to = 0},
           {.kind = OpKind::release,
            .stream = StreamId::comm,
            .group = Group::data,
            .operands = {reads(Slot::exported, 0), gives(2)}},
           {.kind = OpKind::forward, .microbatch = 0, .operands = {writes(Slot::out, 4), takes(2), takes(3)}}};
  const Schedule left = strip_absent(s, spec);
  REQUIRE(left.ops.size() == 2);
  CHECK(left.ops[0].kind == OpKind::reduce);
  CHECK(!left.ops[0].has(Slot::gradient));
  CHECK(left.ops[1].kind == OpKind::forward);
  std::vector<std::string> names;
  for (const Buffer& b : left.buffers) names.push_back(b.name);
  CHECK(names == std::vector<std::string>{"sum", "kept", "x"});
  REQUIRE(tokens_taken(left.ops[1]).size() == 1);
  CHECK(buffer(left, tokens_taken(left.ops[1]).front()).name == "kept");
}
