// What passes start from: the program as one rank alone would write it down.

#include "shard/order/compute_order.h"

#include <map>
#include <set>
#include <tuple>

#include "shard/flat_layout.h"
#include "tests/shard/passes/pass_case.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr std::uint32_t cases = 40;
constexpr std::initializer_list<ScheduleKind> all_kinds = {init,     load,     step,  step_with_audit,
                                                           diagnose, validate, sample};
constexpr std::initializer_list<ScheduleKind> with_backward = {step, step_with_audit, diagnose};

void for_ordered(std::initializer_list<ScheduleKind> kinds,
                 const std::function<void(const PassCase&, const Schedule&)>& check) {
  for_cases(cases, kinds, {},
            [&](const PassCase& c, ScheduleKind kind) { check(c, order(kind, c.model, c.spec_of(kind))); });
}

bool is_trained(const PassCase& c, std::size_t u) {
  return c.model.units[u].kind != UnitKind::frozen && !FlatLayout(c.model.units[u], 1).is_empty();
}

// Units with an op of a kind, in order.
std::vector<int> units_of(const Schedule& s, OpKind kind) {
  std::vector<int> units;
  for (const Op& op : s.ops)
    if (op.kind == kind && op.unit) units.push_back(*op.unit);
  return units;
}

std::vector<int> trained_units(const PassCase& c, bool descending) {
  std::vector<int> units;
  for (std::size_t u = 0; u < c.model.units.size(); ++u)
    if (is_trained(c, u)) units.push_back(static_cast<int>(u));
  if (descending) std::reverse(units.begin(), units.end());
  return units;
}

// Microbatches of the step in the order in which a sum takes them up, whole groups by their first one.
std::vector<int> added_up(const Schedule& s, BufferId sum) {
  std::vector<int> microbatches;
  for (const Op& op : s.ops) {
    if (op.find(Slot::accumulator) == nullptr || op.at(Slot::accumulator) != sum) continue;
    if (op.kind == OpKind::reduce)
      for (const Contribution& c : from_list(s, op)) microbatches.push_back(*c.microbatch);
    if (op.kind == OpKind::accumulate) microbatches.push_back(*op.microbatch);
  }
  return microbatches;
}

std::vector<int> every(int stride, int end) {
  std::vector<int> list;
  for (int i = 0; i < end; i += stride) list.push_back(i);
  return list;
}

}  // namespace

TEST_CASE("compute_order: no token, no event, nothing carried, released or recomputed; what is read was written") {
  for_ordered(all_kinds, [](const PassCase& c, const Schedule& s) {
    CHECK(s.event_count == 0);
    CHECK(s.boundary_events.empty());
    for (const Buffer& b : s.buffers) CHECK((b.role != Role::token && b.lifetime != Lifetime::carried && !b.offset));
    std::set<BufferId> written;
    for (const Op& op : s.ops) {
      CHECK((op.waits.empty() && !op.records));
      CHECK((op.kind != OpKind::release && op.kind != OpKind::recompute && op.kind != OpKind::check_finite));
      for (const BufferId id : op.reads()) {
        // The batch of a microbatch that does not exist is in no step_values.
        const bool is_absent =
            op.has(Slot::batch) && op.at(Slot::batch) == id && *op.microbatch >= c.spec_of(s.kind).microbatches;
        CHECK((is_absent || buffer(s, id).lifetime == Lifetime::persistent || written.contains(id)));
      }
      written.insert(op.writes().begin(), op.writes().end());
    }
  });
}

TEST_CASE("compute_order: each use gathers what it reads just before it, and its ops stand together") {
  for_ordered({step, step_with_audit, diagnose, validate, sample}, [](const PassCase&, const Schedule& s) {
    std::set<BufferId> used;
    std::vector<BufferId> gathered;  // by the gathers that stand here
    std::vector<BufferId> use;       // what the op above reads of them
    for (const Op& op : s.ops) {
      if (op.kind == OpKind::gather) {
        gathered.push_back(op.at(Slot::full));
        use.clear();
        continue;
      }
      const std::vector<BufferId> reads = in_slots(op, {Slot::parameters, Slot::frozen, Slot::tied});
      if (!gathered.empty()) {
        CHECK(reads == std::exchange(gathered, {}));
        for (const BufferId full : reads) CHECK(used.insert(full).second);
        use = reads;
      } else if (!reads.empty()) {
        CHECK(reads == use);
      } else {
        use.clear();
      }
    }
    CHECK(gathered.empty());
  });
}

TEST_CASE("compute_order: a gradient is taken up as soon as it is whole: no other compute stands in between") {
  for_ordered(with_backward, [](const PassCase& c, const Schedule& s) {
    std::set<BufferId> whole;  // wire gradients that nobody has taken up
    for (const Op& op : s.ops) {
      const bool takes_up = op.kind == OpKind::reduce || op.kind == OpKind::accumulate || op.kind == OpKind::hash;
      if (takes_up)
        for (const BufferId id : in_slots(op, {Slot::gradient})) whole.erase(id);
      const bool is_between = takes_up || op.kind == OpKind::round;
      if (!is_between) CHECK(whole.empty());
      const bool completes = op.kind == OpKind::round || op.kind == OpKind::forward_backward ||
                             (op.kind == OpKind::backward && op.segment == 0);
      for (const BufferId id : in_slots(op, {Slot::gradient, Slot::tied_gradient}))
        // A chain is f32, and whole when it is rounded.
        if (completes && op.writes(id) && buffer(s, id).type == c.spec.wire) whole.insert(id);
    }
    CHECK(whole.empty());
  });
}

TEST_CASE("compute_order: every sum takes up the microbatches of the step in ascending order, each once") {
  for_ordered({step, diagnose}, [](const PassCase& c, const Schedule& s) {
    const int group = c.spec.sum_group, microbatches = c.spec.microbatches;
    std::size_t sums = 0;
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
      const std::vector<int> added = added_up(s, static_cast<BufferId>(b));
      if (s.buffers[b].role != Role::gradients || s.buffers[b].type != DType::f32 || added.empty()) continue;
      CAPTURE(s.buffers[b].name);
      ++sums;
      const bool is_group = s.buffers[b].content == Content::group_sum;
      if (!is_group)
        CHECK(added == every(group, microbatches));
      else if (!c.spec.takes_whole_groups())
        CHECK(added == every(1, microbatches));
      else
        for (std::size_t turn = 0; turn < added.size(); ++turn)
          CHECK(added[turn] == c.spec.microbatch(static_cast<int>(turn)));
    }
    CHECK(sums >= trained_units(c, false).size());
  });
}

TEST_CASE("compute_order: the first that a sum takes up is stored, of a group's sum the first of each group") {
  for_ordered(with_backward, [](const PassCase& c, const Schedule& s) {
    for (const Op& op : s.ops) {
      if (op.kind != OpKind::reduce && op.kind != OpKind::accumulate) continue;
      const int first = op.kind == OpKind::reduce ? *from_list(s, op).front().microbatch : *op.microbatch;
      const bool is_group = buffer(s, op, Slot::accumulator).content == Content::group_sum;
      const bool stores = is_group ? first % c.spec.sum_group == 0 : first == 0;
      CHECK((op.find(Slot::accumulator)->access == Access::write) == stores);
    }
  });
}

TEST_CASE("compute_order: forward goes up through all segments, backward down, with what its forward left") {
  for_ordered(with_backward, [](const PassCase& c, const Schedule& s) {
    std::optional<BufferId> x, d_out;
    // By what a forward saved: its input, and its batch and constants.
    std::map<BufferId, std::pair<BufferId, std::vector<BufferId>>> forward_of;
    std::vector<std::pair<int, int>> up, down;
    for (const Op& op : s.ops) {
      if (op.kind == OpKind::forward) {
        if (c.model.units[static_cast<std::size_t>(*op.unit)].kind == UnitKind::embedding)
          up.clear();
        else
          CHECK(op.at(Slot::x) == *x);
        up.emplace_back(*op.unit, *op.segment);
        if (op.has(Slot::saved))
          forward_of[op.at(Slot::saved)] = {op.at(Slot::x), in_slots(op, {Slot::batch, Slot::constants})};
        x = op.at(Slot::out);
      }
      if (op.kind == OpKind::forward_backward) {
        CHECK(op.at(Slot::x) == *x);
        CHECK(*op.unit == static_cast<int>(c.model.head()));
        std::size_t segments = 0;
        for (std::size_t u = 0; u < c.model.head(); ++u) segments += c.model.units[u].segments.size();
        CHECK(up.size() == segments);
        CHECK(std::is_sorted(up.begin(), up.end()));
        down = up;
        d_out = op.at(Slot::d_x);
      }
      if (op.kind != OpKind::backward) continue;
      REQUIRE(!down.empty());
      CHECK(std::pair<int, int>(*op.unit, *op.segment) == down.back());
      down.pop_back();
      CHECK(op.at(Slot::d_out) == *d_out);
      if (!op.has(Slot::saved)) continue;
      CHECK(std::pair(op.at(Slot::x), in_slots(op, {Slot::batch, Slot::constants})) ==
            forward_of.at(op.at(Slot::saved)));
      d_out = op.at(Slot::d_x);
    }
  });
}

TEST_CASE("order_step: ends with all squares, their all-reduce, the verdict, and updates in the order of units") {
  for_ordered({step, step_with_audit}, [](const PassCase& c, const Schedule& s) {
    CHECK(units_of(s, OpKind::square_sum) == trained_units(c, true));
    CHECK(units_of(s, OpKind::update) == trained_units(c, false));
    std::vector<OpKind> end;
    for (const Op& op : s.ops)
      if (end.empty() ? op.kind == OpKind::square_sum : op.kind != OpKind::add_uses && op.kind != end.back())
        end.push_back(op.kind);
    CHECK(end == std::vector{OpKind::square_sum, OpKind::all_reduce, OpKind::verdict, OpKind::update});
    std::map<int, BufferId> squared;
    std::set<BufferId> done;  // sums whose squares are summed
    for (const Op& op : s.ops) {
      for (const BufferId id : op.writes()) CHECK(!done.contains(id));
      if (op.kind == OpKind::square_sum) done.insert(squared[*op.unit] = op.at(Slot::accumulator));
      if (op.kind == OpKind::update) CHECK(op.at(Slot::accumulator) == squared.at(*op.unit));
    }
  });
}

TEST_CASE("order_diagnose: a step without its end, op by op") {
  for_ordered({diagnose}, [](const PassCase& c, const Schedule& s) {
    std::vector<Op> ops = order_step(c.model, c.spec).ops;
    const auto end = std::find_if(ops.begin(), ops.end(), [](const Op& op) {
      return op.kind == OpKind::add_uses || op.kind == OpKind::square_sum;
    });
    CHECK(s.ops == std::vector<Op>(ops.begin(), end));
  });
}

TEST_CASE("order_validate, order_sample: forward of one microbatch up to the loss, which is summed, or to a choice") {
  for_ordered({validate, sample}, [](const PassCase& c, const Schedule& s) {
    std::vector<std::pair<int, int>> forwards, expected;
    for (const Op& op : s.ops) {
      CHECK((op.kind == OpKind::step_values || op.kind == OpKind::gather || op.kind == OpKind::forward ||
             op.kind == OpKind::all_reduce));
      if (op.kind != OpKind::forward) continue;
      CHECK(*op.microbatch == c.spec.rank);
      forwards.emplace_back(*op.unit, *op.segment);
    }
    for (std::size_t u = 0; u < c.model.head(); ++u)
      for (std::size_t segment = 0; segment < c.model.units[u].segments.size(); ++segment)
        expected.emplace_back(static_cast<int>(u), static_cast<int>(segment));
    expected.emplace_back(static_cast<int>(c.model.head()), s.kind == validate ? 0 : 1);
    CHECK(forwards == expected);
    const Op& last = s.ops.back();
    if (s.kind == validate)
      CHECK((last.kind == OpKind::all_reduce && buffer(s, last, Slot::sums).content == Content::sums));
    else
      CHECK(buffer(s, last, Slot::choice).content == Content::choice);
  });
}

TEST_CASE("order_init, order_load: masters, states, constants, counters are made once, through one staging") {
  for_ordered({init, load}, [](const PassCase&, const Schedule& s) {
    std::map<BufferId, int> made;
    std::set<BufferId> staging;
    for (const Op& op : s.ops) {
      for (const BufferId id : op.writes()) ++made[id];
      if (op.has(Slot::staging)) staging.insert(op.at(Slot::staging));
      if (op.unit) CHECK(op.kind == (s.kind == load ? OpKind::read : OpKind::init));
    }
    CHECK(staging.size() == (s.kind == load ? 1 : 0));
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
      const Content content = s.buffers[b].content;
      const bool is_made = content == Content::master || content == Content::state || content == Content::exported ||
                           content == Content::constants || content == Content::counters;
      CAPTURE(s.buffers[b].name);
      if (!staging.contains(static_cast<BufferId>(b))) CHECK(made[static_cast<BufferId>(b)] == (is_made ? 1 : 0));
    }
  });
}

TEST_CASE("order_step_with_audit: a replay hashes what the neighbour hashes; hashes go round a ring") {
  for_cases(cases, {step_with_audit}, {}, [](const PassCase& drawn, ScheduleKind kind) {
    PassCase c = drawn;
    const int ring =
        std::min(c.spec.ranks(), c.spec.microbatches);  // ranks with a first microbatch, where none takes a group
    if (c.spec.sum_group > 1) return;
    std::map<std::pair<int, int>, Bytes> sent, received;  // from, to
    std::vector<std::vector<std::tuple<int, FlatRange>>> own(static_cast<std::size_t>(c.spec.ranks())), replayed = own;
    for (c.spec.rank = 0; c.spec.rank < c.spec.ranks(); ++c.spec.rank) {
      const Schedule s = order(kind, c.model, c.spec);
      for (const Op& op : s.ops) {
        if (op.kind == OpKind::send) CHECK(sent.try_emplace({c.spec.rank, *op.peer}, op.bytes).second);
        if (op.kind == OpKind::receive) CHECK(received.try_emplace({*op.peer, c.spec.rank}, op.bytes).second);
        if (op.kind != OpKind::hash || c.spec.rank >= ring) continue;
        const bool is_replay = buffer(s, op, Slot::hashes).content == Content::replayed_hashes;
        CHECK(*op.microbatch == (is_replay ? (c.spec.rank + 1) % ring : c.spec.rank));
        (is_replay ? replayed : own)[static_cast<std::size_t>(is_replay ? (c.spec.rank + 1) % ring : c.spec.rank)]
            .emplace_back(*op.unit, op.range);
      }
    }
    CHECK(sent == received);
    CHECK(sent.size() == (ring > 1 ? static_cast<std::size_t>(ring) : 0));
    for (const auto& [between, bytes] : sent) CHECK(between.second == (between.first + ring - 1) % ring);
    CHECK(own == replayed);
    CHECK(!own.front().empty());
  });
}
