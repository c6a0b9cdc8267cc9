#include "shard/passes/boundary.h"

#include <array>
#include <map>
#include <random>
#include <set>

#include "runtime/schedule/check/check.h"
#include "runtime/schedule/happens_before.h"
#include "shard/passes/derive_events.h"
#include "tests/shard/passes/operand_order.h"
#include "tests/shard/passes/pass_case.h"
#include "tests/shard/passes/sequence.h"

using namespace trireme;
using namespace trireme::test;
using enum ScheduleKind;

namespace {

constexpr StreamId streams[] = {StreamId::compute, StreamId::comm};

// The one place that calls the pass.
Schedule bounded(const Schedule& schedule, bool fenced) { return add_boundary(schedule, run_streams, fenced); }

// Programs of stage 3, where validate and sample, which nothing carried enters, are fenced.
Schedule bounded_program(const PassCase& c, ScheduleKind kind) {
  return bounded(c.before("add_boundary", kind), kind == validate || kind == sample || kind == diagnose);
}

bool writes_carried(const Schedule& s, const Op& op) {
  return std::any_of(op.operands.begin(), op.operands.end(), [&](const Operand& operand) {
    return operand.writes() && buffer(s, operand.buffer).lifetime == Lifetime::carried;
  });
}

/// Schedules in a row, and which of them are fenced. Only tokens order them: values would hide what tokens leave out.
struct Row {
  Sequence all;
  std::vector<bool> fenced;

  void add(Schedule schedule, bool is_fenced) {
    for (Op& op : schedule.ops)
      std::erase_if(op.operands, [&](const Operand& operand) {
        const Buffer& b = buffer(schedule, operand.buffer);
        return operand.slot != Slot::token && b.lifetime != Lifetime::carried;
      });
    all.add(schedule);
    fenced.push_back(is_fenced);
  }
};

// Every op behind all of earlier schedules, but for gathers into carried buffers, behind which compute need not stand.
void check_row(const Row& row) {
  const Schedule& s = row.all.joined;
  const std::vector<std::size_t>& number = row.all.schedule_of;
  Schedule tokens = s;
  for (Op& op : tokens.ops)
    std::erase_if(op.operands, [](const Operand& operand) { return operand.slot != Slot::token; });
  const Reach order = operand_order(tokens);
  for (std::size_t later = 0; later < s.ops.size(); ++later)
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (number[earlier] == number[later] || order[later][earlier]) continue;
      CAPTURE(number[earlier], earlier, number[later], later);
      CHECK((writes_carried(s, s.ops[earlier]) && !row.fenced[number[later]]));
    }
}

/// A small schedule of ops on any streams, which may read what is carried, and fill it with its last comm ops.
class SmallSchedule {
 public:
  explicit SmallSchedule(std::uint32_t seed) : random_(seed) {}

  bool is_fenced() const { return fenced_; }

  Schedule build() {
    s_.buffers = {{.name = "values", .lifetime = Lifetime::persistent, .elems = 1},
                  {.name = "carry", .lifetime = Lifetime::carried, .elems = 1}};
    const std::vector<StreamId> used = drawn_streams();
    const bool reads_carried = below(2) == 0;
    fenced_ = !reads_carried && below(3) == 0;
    for (std::uint32_t n = 1 + below(6); n-- > 0;) add(used[below(static_cast<std::uint32_t>(used.size()))], {});
    if (reads_carried) add(StreamId::compute, {reads(Slot::x, 1)});
    if (fenced_)
      for (const StreamId stream : streams) add(stream, {});
    for (std::uint32_t n = below(3); n-- > 0;) add(StreamId::comm, {writes(Slot::full, 1)});
    return s_;
  }

 private:
  std::uint32_t below(std::uint32_t bound) { return random_() % bound; }

  // Some, at least one.
  std::vector<StreamId> drawn_streams() {
    std::vector<StreamId> used;
    for (const StreamId stream : streams)
      if (below(3) > 0) used.push_back(stream);
    if (used.empty()) used.push_back(streams[below(std::size(streams))]);
    return used;
  }

  void add(StreamId stream, std::vector<Operand> operands) {
    s_.ops.push_back({.kind = OpKind::forward, .stream = stream, .operands = std::move(operands)});
  }

  std::mt19937 random_;
  Schedule s_;
  bool fenced_ = false;
};

std::optional<BufferId> end_token(const Schedule& s, StreamId stream) {
  for (std::size_t b = 0; b < s.buffers.size(); ++b)
    if (s.buffers[b].name == std::string("end.") + name(stream)) return static_cast<BufferId>(b);
  return std::nullopt;
}

}  // namespace

TEST_CASE("add_boundary: each op stands behind all of the schedules before, but for gathers into carried buffers") {
  for (std::uint32_t seed = 0; seed < random_cases(2000); ++seed) {
    CAPTURE(seed);
    Row row;
    for (std::uint32_t n = 0; n < 4; ++n) {
      SmallSchedule small(4 * seed + n);
      const Schedule schedule = small.build();
      row.add(bounded(schedule, small.is_fenced()), small.is_fenced());
    }
    check_row(row);
  }
}

TEST_CASE("add_boundary: programs of a run stand behind one another in whichever order they come") {
  for (std::uint32_t seed = 0; seed < random_cases(10); ++seed) {
    CAPTURE(seed);
    const PassCase c(seed, [](StepSpec& spec) {
      spec.zero = 3;
      spec.microbatches = std::min(spec.microbatches, spec.ranks() + 1);
    });
    for (const std::vector<ScheduleKind>& kinds : {std::vector{init, enter, step, step, validate},
                                                   {step, validate, sample, enter, step},
                                                   {diagnose, enter, step, diagnose}}) {
      Row row;
      for (const ScheduleKind kind : kinds)
        row.add(bounded_program(c, kind), kind == validate || kind == sample || kind == diagnose);
      check_row(row);
    }
  }
}

TEST_CASE("add_boundary: compute waits for earlier gathers into carried buffers where it is fenced alone") {
  const auto op = [](StreamId stream, std::vector<Operand> operands = {}) {
    return Op{.kind = OpKind::forward, .stream = stream, .operands = std::move(operands)};
  };
  Schedule plain, carrying;
  plain.ops = {op(StreamId::compute), op(StreamId::comm), op(StreamId::compute), op(StreamId::comm)};
  carrying = plain;
  carrying.buffers = {{.name = "carry", .lifetime = Lifetime::carried, .elems = 1}};
  for (int n = 0; n < 2; ++n) carrying.ops.push_back(op(StreamId::comm, {writes(Slot::full, 0)}));
  for (const bool fenced : {false, true}) {
    CAPTURE(fenced);
    Row row;
    row.add(bounded(carrying, false), false);
    row.add(bounded(plain, fenced), fenced);
    check_row(row);
    const Schedule& s = row.all.joined;
    const Reach order = operand_order(s);
    const auto next = std::find_if(s.ops.begin() + 6, s.ops.end(),
                                   [](const Op& next_op) { return next_op.stream == StreamId::compute; });
    for (std::size_t gather = 4; gather < 6; ++gather) {
      REQUIRE(writes_carried(s, s.ops[gather]));
      CHECK(order[static_cast<std::size_t>(next - s.ops.begin())][gather] == fenced);
    }
  }
}

TEST_CASE("add_boundary: a fenced schedule starts with its first comm op") {
  for_cases(
      40, {validate, sample, diagnose}, [](StepSpec& spec) { spec.zero = 3; },
      [](const PassCase& c, ScheduleKind kind) {
        const Schedule before = c.before("add_boundary", kind), s = bounded_program(c, kind);
        REQUIRE(s.ops.front().stream == StreamId::comm);
        const auto first = ops_where(before, [](const Op& op) { return op.stream == StreamId::comm; }).front();
        CHECK(without_tokens(s.ops.front()) == without_tokens(first));
        // The others keep their order.
        std::vector<Op> was, is;
        for (const Op& op : before.ops) was.push_back(without_tokens(op));
        for (const Op& op : s.ops) is.push_back(without_tokens(op));
        was.erase(std::find(was.begin(), was.end(), is.front()));
        is.erase(is.begin());
        CHECK(is == was);
      });
}

TEST_CASE("add_boundary: a stream's last op that fills nothing carried gives its end; all else is as it was") {
  for_cases(
      40, {init, load, enter, step, step_with_audit}, [](StepSpec& spec) { spec.zero = 3; },
      [](const PassCase& c, ScheduleKind kind) {
        const Schedule before = c.before("add_boundary", kind), s = bounded(before, false);
        for (const StreamId stream : streams) {
          const std::optional<BufferId> end = end_token(s, stream);
          REQUIRE(end.has_value());
          CHECK(buffer(s, *end).role == Role::token);
          CHECK(buffer(s, *end).lifetime == Lifetime::persistent);
          std::optional<std::size_t> last;
          for (std::size_t i = 0; i < s.ops.size(); ++i)
            if (s.ops[i].stream == stream && !writes_carried(s, s.ops[i])) last = i;
          for (std::size_t i = 0; i < s.ops.size(); ++i) CHECK(s.ops[i].writes(*end) == (last == i));
        }
        REQUIRE(s.ops.size() == before.ops.size());
        for (std::size_t i = 0; i < s.ops.size(); ++i) {
          Op op = s.ops[i];
          std::erase_if(op.operands, [&](const Operand& operand) {
            return static_cast<std::size_t>(operand.buffer) >= before.buffers.size();
          });
          CHECK(op == before.ops[i]);
        }
      });
}

namespace {

// Computes, copies to the host, and writes a file from there. `is_safe`: the copy waits for what still reads the host's
// bytes.
Schedule saving(Lifetime of_snapshot, bool is_safe) {
  Schedule s{.kind = ScheduleKind::step};
  s.buffers = {{.name = "x", .role = Role::activations, .elems = 256},
               {.name = "snapshot", .role = Role::data, .space = Space::host, .lifetime = of_snapshot, .elems = 256},
               {.name = "written", .role = Role::token, .lifetime = Lifetime::persistent}};
  s.ops = {
      {.kind = OpKind::forward, .operands = {writes(Slot::out, 0)}},
      {.kind = OpKind::forward, .stream = StreamId::copy, .operands = {reads(Slot::x, 0), updates(Slot::saved, 1)}},
      {.kind = OpKind::forward, .stream = StreamId::io, .operands = {reads(Slot::x, 1)}}};
  if (of_snapshot == Lifetime::step) s.ops[1].find(Slot::saved)->access = Access::write;
  if (is_safe) s.ops[1].add(takes(2)), s.ops[2].add(gives(2));
  return derive_events(add_boundary(std::move(s), all_streams, false));
}

}  // namespace

TEST_CASE(
    "add_boundary: what io reads of persistent buffers runs on into the next schedule, held up by its token alone") {
  const Schedule s = saving(Lifetime::persistent, true);
  const std::array sequence = {&s, &s};
  const auto problem = check_sequence(sequence);
  INFO((problem ? problem->message : ""));
  CHECK_FALSE(problem);
  const HappensBefore happens(sequence);
  CHECK_FALSE(happens.before(2, 3));  // the next forward does not wait for the file
  CHECK(happens.before(2, 4));        // the next copy over its bytes does
  const Schedule unsafe = saving(Lifetime::persistent, false);
  CHECK(check_sequence(std::array{&unsafe, &unsafe}));
}

TEST_CASE("add_boundary: what io reads of step buffers ends before the next schedule begins") {
  const Schedule s = saving(Lifetime::step, false);
  const std::array sequence = {&s, &s};
  CHECK_FALSE(check_sequence(sequence));
  const HappensBefore happens(sequence);
  for (const OpId next : {3, 4}) CHECK(happens.before(2, next));
}
