#include "runtime/schedule/check/check.h"

#include <catch2/catch.hpp>

#include <array>

#include "runtime/schedule/text/text.h"
#include "tests/runtime/schedule/random_schedule.h"

using namespace trireme;

namespace {

// A step of one unit on rank 0 of 2: carried gather, forward, backward, two ordered reduces, update, next gather.
const char* const step_text = R"(
schedule step rank 0 world 2 events 10
buffer role content space lifetime type elems exported offset first last
shard0 parameters  exported:0    device persistent f32 64  yes 0x00000000 - -
end    token       -             device persistent f32 0   -   -          - -
carry0 gathered    -             device carried    f32 128 -   0x00000100 - -
x0     activations -             device step       f32 64  -   0x00000300 - -
full1  gathered    -             device step       f32 128 -   0x00000400 - -
grad0  gradients   -             device step       f32 128 yes 0x00000600 - -
grad1  gradients   -             device step       f32 128 yes 0x00000800 - -
acc    gradients   -             device step       f32 64  -   0x00000300 - -
freed  token       -             device step       f32 0   -   -          - -
boundary name
e0 carry0
e1 end
op stream kind unit segment mb group reads writes takes gives waits records range wire bytes from to peer
0  compute forward  0 0 0 self parameters=carry0              out=x0          -     -     e0 e2 -        -   -   -       -   -
1  comm    gather   0 - - data slice=shard0                   full=full1      -     -     -  e3 0+128/64 f32 512 0,1     0,1 -
2  compute backward 0 0 0 self parameters=full1,x=x0          gradient=grad0  -     -     e3 e4 -        -   -   -       -   -
3  comm    reduce   0 - 0 data gradient=grad0                 accumulator=acc -     -     e4 -  0+128/64 f32 512 0:0,1:1 0,1 -
4  comm    release  0 - 0 data exported=grad0                 -               -     freed -  e5 -        -   -   -       -   -
5  compute backward 0 0 2 self parameters=full1               gradient=grad1  freed -     e5 e6 -        -   -   -       -   -
6  comm    reduce   0 - 2 data gradient=grad1,accumulator=acc accumulator=acc -     -     e6 -  0+128/64 f32 512 0:2,1:3 0,1 -
7  comm    release  0 - 2 data exported=grad1                 -               -     -     -  -  -        -   -   -       -   -
8  comm    release  0 - - data exported=shard0                -               -     -     -  e7 -        -   -   -       -   -
9  compute update   0 - - self accumulator=acc                master=shard0   -     -     e7 e8 0+128/64 -   -   -       -   -
10 comm    gather   0 - - data slice=shard0                   full=carry0     -     -     e8 e0 0+128/64 f32 512 0,1     0,1 -
)";

Schedule step() { return parse_schedule(step_text); }

Schedule enter() {
  Schedule s = step();
  s.kind = ScheduleKind::enter;
  s.ops = {s.ops[10]};
  s.ops[0].waits.clear();
  return s;
}

Schedule without_op(Schedule s, OpId op) {
  s.ops.erase(s.ops.begin() + op);
  return s;
}

Buffer& buffer(Schedule& s, const std::string& name) {
  return *std::find_if(s.buffers.begin(), s.buffers.end(), [&](const Buffer& b) { return b.name == name; });
}

void check_rejected(const std::optional<Problem>& problem, OpId op, std::initializer_list<const char*> parts) {
  REQUIRE(problem);
  CHECK(problem->op == op);
  for (const char* part : parts) CHECK_THAT(problem->message, Catch::Contains(part));
}

// Without the operands of each op, of which these programs have only what the other rules are about.
std::optional<Problem> rules(const Schedule& schedule) {
  return check_sequence(std::array<const Schedule*, 1>{&schedule});
}
std::optional<Problem> check_two(const Schedule& a, const Schedule& b) {
  return check_sequence(std::array<const Schedule*, 2>{&a, &b});
}
std::optional<Problem> check_pair(const Schedule& a, const Schedule& b) {
  return check_ranks(std::array<const Schedule*, 2>{&a, &b});
}

Schedule of_rank(Schedule s, int rank) {
  s.rank = rank;
  return s;
}

}  // namespace

TEST_CASE("check: a right step passes alone, behind enter and behind itself", "[schedule]") {
  const auto alone = rules(step());
  INFO((alone ? alone->message : ""));
  CHECK_FALSE(alone);
  CHECK_FALSE(rules(enter()));
  CHECK_FALSE(check_two(enter(), step()));
  CHECK_FALSE(check_two(step(), step()));
  CHECK_FALSE(check_pair(of_rank(step(), 0), of_rank(step(), 1)));
}

TEST_CASE("check: a removed event is found at the op that waited", "[schedule]") {
  const struct {
    OpId op;
    const char *text, *other;
  } cases[] = {{2, "backward unit 0 (op 2) reads full1", "gather unit 0 (op 1)"},
               {3, "reduce unit 0 (op 3)", "backward unit 0 (op 2)"},
               {9, "update unit 0 (op 9)", "comm"},
               {10, "gather unit 0 (op 10) reads shard0", "update unit 0 (op 9)"}};
  for (const auto& c : cases) {
    Schedule s = step();
    s.ops[static_cast<std::size_t>(c.op)].waits.clear();
    const auto problem = rules(s);
    check_rejected(problem, c.op, {c.text, "no event orders"});
    if (std::string(c.other) != "comm") CHECK_THAT(problem->message, Catch::Contains(c.other));
  }
}

TEST_CASE("check: a wait needs a record above it", "[schedule]") {
  Schedule s = step();
  s.ops[1].records.reset();
  check_rejected(rules(s), 2, {"backward unit 0 (op 2) waits for e3, which no op above it records"});
}

TEST_CASE("check: a dropped release of a slice is found at the update", "[schedule]") {
  Schedule s = without_op(step(), 8);
  s.ops[7].records = 7;  // the update waits for the comm stream as before
  check_rejected(rules(s), 8,
                 {"update unit 0 (op 8) writes shard0", "gather unit 0 (op 1)", "a release of shard0 must stand"});
}

TEST_CASE("check: a release moved behind its writer is found at the writer", "[schedule]") {
  Schedule s = step();
  s.ops[9].waits = {4};
  s.ops[8].records.reset();
  std::swap(s.ops[8], s.ops[9]);
  check_rejected(rules(s), 8,
                 {"update unit 0 (op 8) writes shard0", "gather unit 0 (op 1)", "a release of shard0 must stand"});
}

TEST_CASE("check: a dropped release of a gradient is found at its reduce", "[schedule]") {
  check_rejected(rules(without_op(step(), 7)), 6, {"reduce unit 0 (op 6)", "grad1", "never released"});
}

TEST_CASE("check: a dropped gather is found at the op that reads it", "[schedule]") {
  Schedule s = without_op(step(), 1);
  s.ops[1].waits.clear();
  check_rejected(rules(s), 1, {"backward unit 0 (op 1) reads full1, which no op above it writes"});
}

TEST_CASE("check: a slice gathered by one step must be released before the next one writes it", "[schedule]") {
  Schedule s = step();
  s.ops[2].find(Slot::parameters)->buffer = s.ops[5].find(Slot::parameters)->buffer =
      2;  // the carried buffer: no gather of its own
  s.ops[2].waits.clear();
  s.ops[8].operands = s.ops[7].operands;  // no release of the slice
  s.ops.erase(s.ops.begin() + 1);
  CHECK_FALSE(rules(s));
  check_rejected(check_two(s, s), 8,
                 {"update unit 0 (op 8) of step, number 2", "gather unit 0 (op 9) of step, number 1"});
}

TEST_CASE("check: buffers that overlap while both live are found", "[schedule]") {
  Schedule s = step();
  buffer(s, "full1").offset = 0x300;  // over x0, which backward still reads
  const auto problem = rules(s);
  REQUIRE(problem);
  CHECK_THAT(problem->message, Catch::Contains("x0") && Catch::Contains("full1"));

  s = step();
  buffer(s, "grad1").offset = 0x400;  // written by the op that reads full1
  check_rejected(rules(s), 5, {"grad1", "full1", "the op itself reads them"});

  s = step();
  buffer(s, "grad0").offset = 0x300;  // same op reads x0
  check_rejected(rules(s), 2, {"grad0", "x0"});

  s = step();
  buffer(s, "x0").offset = 0;  // on the slice
  check_rejected(rules(s), 0, {"forward unit 0 (op 0)", "shard0", "persistent"});
}

TEST_CASE("check: bytes freed and reused before their last read are found at the read", "[schedule]") {
  Schedule s = step();
  buffer(s, "full1").offset = 0xa00;
  buffer(s, "grad1").offset = 0x300;  // over the sum, which the second reduce still adds to
  check_rejected(rules(s), 6, {"reduce unit 0 (op 6) reads acc", "backward unit 0 (op 5)", "grad1", "freed too early"});
}

TEST_CASE("check: an offset is a multiple of 256", "[schedule]") {
  Schedule s = step();
  buffer(s, "x0").offset = 0x380;
  REQUIRE(rules(s));
  CHECK_THAT(rules(s)->message, Catch::Contains("x0") && Catch::Contains("no multiple of 256"));
}

TEST_CASE("check: adds out of microbatch order are found", "[schedule]") {
  Schedule s = step();
  s.from_lists = {{{0, {}}, {1, {}}}, {{0, 2}, {1, 3}}, {{0, 0}, {1, 1}}};
  check_rejected(rules(s), 6, {"reduce unit 0 (op 6) adds microbatch 0 of rank 0 to acc after microbatch 3", "op 3"});
  s.from_lists[1] = {{1, 1}, {0, 0}};
  check_rejected(rules(s), 3, {"reduce unit 0 (op 3) adds microbatch 0 of rank 0 to acc after microbatch 1"});
}

TEST_CASE("check: the first reduce stores, the others add", "[schedule]") {
  Schedule s = step();
  s.ops[6].find(Slot::accumulator)->access = Access::write;
  check_rejected(rules(s), 6, {"reduce unit 0 (op 6) stores into acc", "reduce unit 0 (op 3)"});
  s = step();
  const BufferId sum = s.ops[3].at(Slot::accumulator);
  Op zero{.kind = OpKind::round, .stream = StreamId::comm, .operands = {writes(Slot::gradient, sum)}, .waits = {4}};
  s.ops[3].find(Slot::accumulator)->access = Access::update;
  s.ops.insert(s.ops.begin() + 3, zero);
  check_rejected(rules(s), 4, {"reduce unit 0 (op 4) adds to acc", "the first must store"});
}

TEST_CASE("check: collectives and releases stand on comm", "[schedule]") {
  Schedule s = step();
  s.ops[8].stream = StreamId::compute;
  check_rejected(rules(s), 8, {"release unit 0 (op 8)", "must stand on comm"});
}

TEST_CASE("check_sequence: a carried buffer comes from the schedule directly before", "[schedule]") {
  Schedule validate = enter();
  validate.kind = ScheduleKind::validate;
  validate.ops.clear();
  const Schedule first = step(), last = step();
  check_rejected(check_sequence(std::array<const Schedule*, 3>{&first, &validate, &last}), 0,
                 {"forward unit 0 (op 0) of step", "carry0", "(validate) does not write"});
}

TEST_CASE("check_sequence: what a schedule carries out may not be overwritten, nor read without its event",
          "[schedule]") {
  Schedule other = enter();
  other.kind = ScheduleKind::validate;
  other.ops = {Op{.kind = OpKind::forward, .operands = {writes(Slot::out, 3)}}};
  buffer(other, "x0").offset = 0x100;  // bytes of carry0, while its gather may still run
  check_rejected(check_two(step(), other), 0,
                 {"forward (op 0) of validate", "carry0", "gather unit 0 (op 10) of step"});

  Schedule s = step();
  s.ops[0].waits.clear();
  check_rejected(check_two(enter(), s), 0, {"forward unit 0 (op 0) of step", "carry0", "no event orders"});

  s = step();
  buffer(s, "carry0").offset = 0x1000;
  CHECK_THAT(check_two(enter(), s)->message,
             Catch::Contains("carry0") && Catch::Contains("differs between enter and step"));
}

TEST_CASE("check: bytes carried out are still carried at the end", "[schedule]") {
  Schedule s = step();
  s.ops.push_back({.kind = OpKind::forward, .operands = {writes(Slot::out, 3)}, .waits = {0}});
  buffer(s, "x0").offset = 0x100;
  s.ops[0].remove(Slot::parameters);
  s.ops[0].waits.clear();
  const auto problem = rules(s);
  REQUIRE(problem);
  CHECK_THAT(problem->message, Catch::Contains("carry0") && Catch::Contains("forward (op 11)"));
}

TEST_CASE("check_ranks: lists of collectives that differ print both lines", "[schedule]") {
  Schedule a = of_rank(step(), 0), b = of_rank(step(), 1);
  b.ops[6].bytes = 256;
  check_rejected(check_pair(a, b), 6,
                 {"rank 0 reduce unit 0 (op 6)", "rank 1 reduce unit 0 (op 6)", "512 bytes", "256 bytes"});
  b = of_rank(without_op(step(), 10), 1);
  check_rejected(check_pair(a, b), 10, {"rank 0 gather unit 0 (op 10)", "rank 1: 3 in all"});
  b = of_rank(step(), 1);
  std::swap(b.ops[1], b.ops[3]);
  check_rejected(check_pair(a, b), 1, {"rank 0 gather unit 0 (op 1)", "rank 1 reduce unit 0 (op 1)", "same order"});
}

namespace {

Schedule pipeline(int rank, std::initializer_list<OpKind> kinds) {
  Schedule s{.kind = ScheduleKind::step, .rank = rank, .world = 2};
  for (OpKind kind : kinds)
    s.ops.push_back({.kind = kind, .stream = StreamId::comm, .unit = 7, .bytes = 8, .peer = 1 - rank});
  return s;
}

}  // namespace

TEST_CASE("check_ranks: sends and receives of a pair match", "[schedule]") {
  CHECK_FALSE(check_pair(pipeline(0, {OpKind::send, OpKind::receive}), pipeline(1, {OpKind::receive, OpKind::send})));
  check_rejected(check_pair(pipeline(0, {OpKind::send, OpKind::send}), pipeline(1, {OpKind::receive})), 1,
                 {"rank 0 send unit 7 (op 1)", "must have its receive"});
}

TEST_CASE("check_ranks: a cyclic wait names the ops that wait for each other", "[schedule]") {
  const auto receives_first = {OpKind::receive, OpKind::send};
  check_rejected(
      check_pair(pipeline(0, receives_first), pipeline(1, receives_first)), 0,
      {"cyclic wait", "rank 0 receive unit 7 (op 0)", "rank 1 send unit 7 (op 1)", "rank 1 receive unit 7 (op 0)"});
}

TEST_CASE("check_ranks: an event recorded behind a collective that waits for it is a cycle", "[schedule]") {
  Schedule a = of_rank(step(), 0), b = of_rank(step(), 1);
  b.ops[1].waits = {4};  // the gather waits for the backward that waits for the gather
  check_rejected(check_pair(a, b), 1, {"cyclic wait", "rank 1 gather unit 0 (op 1)", "backward unit 0 (op 2)"});
}

TEST_CASE("check: agrees with the oracle on random schedules, with any wait removed or any buffer moved",
          "[schedule]") {
  int rejected = 0, accepted = 0, needed_waits = 0;
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    const Schedule s = RandomSchedule(seed).build(24);
    const auto problem = rules(s);
    INFO("seed " << seed << (problem ? problem->message : ""));
    REQUIRE_FALSE(problem);
    REQUIRE(is_valid(s));
    const auto compare = [&](const Schedule& changed) {
      const bool valid = is_valid(changed);
      REQUIRE(valid == !rules(changed));
      ++(valid ? accepted : rejected);
      return valid;
    };
    for (std::size_t op = 0; op < s.ops.size(); ++op)
      for (std::size_t wait = 0; wait < s.ops[op].waits.size(); ++wait) {
        Schedule changed = s;
        changed.ops[op].waits.erase(changed.ops[op].waits.begin() + static_cast<std::ptrdiff_t>(wait));
        needed_waits += !compare(changed);
      }
    for (std::size_t b = 3; b < s.buffers.size(); ++b)
      for (Bytes offset : {0, 256, 512, 1024, 2048, 4096}) {
        Schedule changed = s;
        if (changed.buffers[b].elems > 0) changed.buffers[b].offset = offset;
        compare(changed);
      }
  }
  CHECK(needed_waits >= 1000);
  CHECK(rejected > 2000);
  CHECK(accepted > 100);
}

TEST_CASE("check: a million ops and buffers in seconds", "[schedule][slow]") {
  Schedule s{.rank = 0, .world = 2};
  s.buffers.push_back({.name = "shard", .lifetime = Lifetime::persistent, .elems = 256, .exported = true, .offset = 0});
  constexpr int uses = 500000;
  for (int i = 0; i < uses; ++i) {
    s.buffers.push_back({.name = fmt::format("full{}", i), .elems = 512, .offset = 256 + 512 * (i % 1000)});
    s.buffers.push_back({.name = fmt::format("x{}", i), .elems = 256, .offset = 1 << 20});
    const BufferId full = 2 * i + 1;
    Op gather{.kind = OpKind::gather,
              .stream = StreamId::comm,
              .group = Group::data,
              .operands = {reads(Slot::slice, 0), writes(Slot::full, full)},
              .records = 2 * i};
    if (i >= 4) gather.waits = {2 * (i - 4) + 1};
    s.ops.push_back(std::move(gather));
    s.ops.push_back({.kind = OpKind::forward,
                     .operands = {reads(Slot::parameters, full), writes(Slot::out, full + 1)},
                     .waits = {2 * i},
                     .records = 2 * i + 1});
  }
  s.event_count = 2 * uses;
  const auto problem = rules(s);
  INFO((problem ? problem->message : ""));
  CHECK_FALSE(problem);
  CHECK_FALSE(check_pair(of_rank(s, 0), of_rank(s, 1)));
}
