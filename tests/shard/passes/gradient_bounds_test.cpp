#include "shard/passes/gradient_bounds.h"

#include <map>
#include <set>

#include "tests/shard/passes/operand_order.h"
#include "tests/shard/passes/pass_case.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 60;
constexpr std::initializer_list<ScheduleKind> with_backward = {step, step_with_audit, diagnose};

Schedule bounded(const PassCase& c, ScheduleKind kind) {
  return bound_gradients(c.before("bound_gradients", kind), c.spec.zero >= 2);
}

/// One value of a gradient that peers read: ops that write it, reduce it, release it.
struct Value {
  BufferId gradient = 0;
  std::vector<std::size_t> writes, reduces, releases;
};

/// Values that one op completes, or that are rounded from what it wrote.
using ValueGroup = std::vector<Value>;

// The op that wrote a buffer last, above `at`.
std::size_t last_writer(const Schedule& s, std::size_t at, BufferId id) {
  while (at-- > 0)
    if (s.ops[at].writes(id)) return at;
  FAIL("nothing wrote " << buffer(s, id).name);
  return 0;
}

std::vector<ValueGroup> find_groups(const Schedule& s) {
  std::set<BufferId> reduced;
  for (const Op& op : s.ops)
    if (op.kind == OpKind::reduce) reduced.insert(op.at(Slot::gradient));
  std::map<BufferId, Value> open;                     // of each gradient the value under way
  std::vector<std::pair<std::size_t, Value>> values;  // by the op that they come from
  const auto close = [&](Value value) {
    std::size_t from = value.writes.back();
    if (s.ops[from].kind == OpKind::round) from = last_writer(s, from, s.ops[from].at(Slot::chain));
    values.emplace_back(from, std::move(value));
  };
  for (std::size_t i = 0; i < s.ops.size(); ++i)
    for (const BufferId id : reduced) {
      const Op& op = s.ops[i];
      Value& value = open.try_emplace(id, Value{.gradient = id}).first->second;
      if (op.writes(id)) {
        if (!value.reduces.empty()) close(std::exchange(value, Value{.gradient = id}));
        value.writes.push_back(i);
      }
      if (op.kind == OpKind::reduce && op.reads(id)) value.reduces.push_back(i);
      if (op.kind == OpKind::release && op.reads(id)) value.releases.push_back(i);
    }
  for (auto& [id, value] : open) close(std::move(value));
  std::map<std::size_t, ValueGroup> groups;
  for (auto& [from, value] : values) groups[from].push_back(std::move(value));
  std::vector<ValueGroup> in_order;
  for (auto& [from, group] : groups) in_order.push_back(std::move(group));
  return in_order;
}

std::vector<std::size_t> all(const ValueGroup& group, std::vector<std::size_t> Value::*ops) {
  std::vector<std::size_t> list;
  for (const Value& value : group) list.insert(list.end(), (value.*ops).begin(), (value.*ops).end());
  std::sort(list.begin(), list.end());
  return list;
}

// The all-reduce of what the verdict reads; none in diagnose.
std::optional<std::size_t> last_all_reduce(const Schedule& s) {
  std::optional<std::size_t> found;
  for (const Op& verdict : s.ops)
    for (std::size_t i = 0; i < s.ops.size(); ++i)
      if (verdict.kind == OpKind::verdict && s.ops[i].kind == OpKind::all_reduce &&
          s.ops[i].writes(verdict.at(Slot::sums)))
        found = i;
  return found;
}

// The next op that is no release; the end where there is none.
std::size_t behind_releases(const Schedule& s, std::size_t at) {
  while (at < s.ops.size() && s.ops[at].kind == OpKind::release) ++at;
  return at;
}

std::size_t above_releases(const Schedule& s, std::size_t at) {
  while (s.ops[at].kind == OpKind::release) --at;
  return at;
}

bool writes_one_of(const Schedule& s, std::size_t at, const ValueGroup& group) {
  return at < s.ops.size() &&
         std::any_of(group.begin(), group.end(), [&](const Value& v) { return s.ops[at].writes(v.gradient); });
}

// Slices whose releases the pass added.
std::vector<std::size_t> slice_releases(const Schedule& before, const Schedule& s) {
  std::set<BufferId> known;
  for (const Op& op : before.ops)
    if (op.kind == OpKind::release) known.insert(op.at(Slot::exported));
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < s.ops.size(); ++i)
    if (s.ops[i].kind == OpKind::release && buffer(s, s.ops[i], Slot::exported).role == Role::parameters &&
        !known.contains(s.ops[i].at(Slot::exported)))
      found.push_back(i);
  return found;
}

}  // namespace

TEST_CASE("bound_gradients: each value of a gradient is released once, behind its last reduce") {
  for_cases(cases, with_backward, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = bounded(c, kind);
    const std::vector<ValueGroup> groups = find_groups(s);
    CHECK(!groups.empty());
    for (const ValueGroup& group : groups)
      for (const Value& value : group) {
        REQUIRE(value.releases.size() == 1);
        CHECK(value.releases.front() > value.reduces.back());
        CHECK(s.ops[value.releases.front()].stream == StreamId::comm);
        CHECK(s.ops[value.releases.front()].group == Group::data);
      }
  });
}

TEST_CASE("bound_gradients: releases stand before the next group's reduces, the last behind the all-reduce") {
  for_cases(cases, with_backward, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = bounded(c, kind);
    const std::vector<ValueGroup> groups = find_groups(s);
    const std::optional<std::size_t> all_reduce = last_all_reduce(s);
    for (std::size_t n = 0; n < groups.size(); ++n) {
      CAPTURE(n, groups.size());
      for (const std::size_t release : all(groups[n], &Value::releases)) {
        const std::size_t next = behind_releases(s, release);
        if (n + 1 < groups.size())
          CHECK((next == all(groups[n + 1], &Value::reduces).front() || writes_one_of(s, next, groups[n])));
        else if (all_reduce)
          CHECK(above_releases(s, release) == *all_reduce);
        else
          CHECK(next == s.ops.size());
      }
    }
  });
}

TEST_CASE("bound_gradients: bounded, a group's first writer takes a token of the release of the second last") {
  const auto sharded = [](StepSpec& spec) { spec.zero = spec.node_ranks > 0 ? 3 : 2 + spec.zero % 2; };
  for_cases(cases, with_backward, sharded, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = bounded(c, kind);
    const std::vector<ValueGroup> groups = find_groups(s);
    for (std::size_t n = 2; n < groups.size(); ++n) {
      CAPTURE(n, groups.size());
      const std::vector<BufferId> bounds = tokens_taken(s.ops[all(groups[n], &Value::writes).front()]);
      REQUIRE(bounds.size() == 1);
      CHECK(giver(s, bounds.front()) == all(groups[n - 2], &Value::releases).back());
    }
  });
}

TEST_CASE("bound_gradients: bounded, a third group of gradients is never alive, whatever the streams' speed") {
  const auto sharded = [](StepSpec& spec) { spec.zero = spec.node_ranks > 0 ? 3 : 2 + spec.zero % 2; };
  for_cases(cases / 3, with_backward, sharded, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = bounded(c, kind);
    const Reach order = operand_order(s);
    const std::vector<ValueGroup> groups = find_groups(s);
    for (std::size_t n = 2; n < groups.size(); ++n)
      for (const std::size_t write : all(groups[n], &Value::writes))
        for (const std::size_t release : all(groups[n - 2], &Value::releases)) CHECK(order[write][release]);
  });
}

TEST_CASE("bound_gradients: unbounded it adds no token") {
  for_cases(cases, with_backward, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("bound_gradients", kind), s = bound_gradients(before, false);
    CHECK(s.buffers == before.buffers);
    CHECK(ops_where(s, [&](const Op& op) { return op.kind != OpKind::release; }) ==
          ops_where(before, [&](const Op& op) { return op.kind != OpKind::release; }));
  });
}

TEST_CASE("bound_gradients: slices that a step makes anew are released together, behind the last gradients") {
  for_cases(cases, {step, step_with_audit}, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("bound_gradients", kind), s = bounded(c, kind);
    std::set<BufferId> made, released;
    for (const Op& op : before.ops)
      for (const BufferId id : op.writes())
        if (buffer(s, id).exported && buffer(s, id).role == Role::parameters) made.insert(id);
    for (const Op& op : before.ops)
      if (op.kind == OpKind::release) made.erase(op.at(Slot::exported));
    const std::size_t last_of_gradients = all(find_groups(s).back(), &Value::releases).back();
    for (const std::size_t i : slice_releases(before, s)) {
      const Op& op = s.ops[i];
      CHECK(released.insert(op.at(Slot::exported)).second);
      CHECK(above_releases(s, i) == *last_all_reduce(s));
      CHECK(i > last_of_gradients);
      // A node's slices are read within the node alone.
      CHECK(op.group == (c.spec.node_ranks > 0 ? Group::node : Group::data));
    }
    CHECK(released == made);
  });
}

TEST_CASE("bound_gradients: over steps in a row nothing that peers read is written before it is released") {
  for_cases(cases, {step, step_with_audit}, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule s = bounded(c, kind);
    std::set<BufferId> read_by_peers;
    for (int turn = 0; turn < 2; ++turn)
      for (const Op& op : s.ops) {
        for (const BufferId id : op.writes()) CHECK(!read_by_peers.contains(id));
        if (op.kind == OpKind::gather) read_by_peers.insert(op.at(Slot::slice));
        if (op.kind == OpKind::reduce) read_by_peers.insert(op.at(Slot::gradient));
        if (op.kind == OpKind::release) read_by_peers.erase(op.at(Slot::exported));
      }
  });
}

TEST_CASE("bound_gradients: a lone persistent gradient is released before the next turn writes it") {
  for (std::uint32_t seed = 0; seed < random_cases(40); ++seed) {
    CAPTURE(seed);
    PassCase c(seed, [](StepSpec& spec) {
      spec.zero = spec.microbatches % 2;
      spec.node_ranks = 0;
      spec.sum_group = 1;
      spec.microbatches += 2 * spec.ranks();
    });
    // One unit is trained, so that no other gradient's reduces come in between.
    c.model = RandomSpec(seed).model(3, false);
    for (UnitSpec& unit : c.model.units)
      for (TensorSpec& tensor : unit.tensors) tensor.trainable = &unit == &c.model.units[seed % c.model.units.size()];
    c.model = split_frozen(c.model);
    const Schedule s = bounded(c, step);
    std::size_t values = 0;
    for (const ValueGroup& group : find_groups(s))
      for (const Value& value : group) {
        ++values;
        REQUIRE(value.releases.size() == 1);
        CHECK(value.releases.front() > value.reduces.back());
      }
    CHECK(values >= 2);
  }
}

TEST_CASE("bound_gradients: all else is as it was") {
  for_cases(cases, with_backward, {}, [](const PassCase& c, ScheduleKind kind) {
    const Schedule before = c.before("bound_gradients", kind), s = bounded(c, kind);
    const auto others = [](const Schedule& schedule) {
      return ops_where(schedule, [](const Op& op) { return op.kind != OpKind::release; });
    };
    std::vector<Op> is = others(s);
    // Tokens that the pass added stand behind the buffers that were there.
    for (Op& op : is)
      std::erase_if(op.operands, [&](const Operand& operand) {
        return static_cast<std::size_t>(operand.buffer) >= before.buffers.size();
      });
    CHECK(is == others(before));
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
      if (b < before.buffers.size())
        CHECK(s.buffers[b] == before.buffers[b]);
      else
        CHECK((s.buffers[b].role == Role::token && s.buffers[b].lifetime == Lifetime::step));
    }
  });
}
