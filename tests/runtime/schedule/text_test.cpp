#include "runtime/schedule/text/text.h"

#include <catch2/catch.hpp>

#include <array>

#include "runtime/base/error.h"
#include "runtime/schedule/check/check.h"
#include "runtime/schedule/text/text_compare.h"
#include "tests/runtime/schedule/random_schedule.h"

using namespace trireme;

namespace {

// Has every field of every struct set somewhere, and lists in another order than the ops use them.
Schedule rich() {
  Schedule s{.kind = ScheduleKind::step, .rank = 1, .world = 9, .event_count = 5};
  s.buffers = {
      {.name = "shard4",
       .role = Role::parameters,
       .lifetime = Lifetime::persistent,
       .type = DType::bf16,
       .content = Content::exported,
       .unit = 4,
       .elems = 1024,
       .exported = true,
       .offset = 0x6000000},
      {.name = "full4", .role = Role::gathered, .lifetime = Lifetime::carried, .type = DType::bf16, .elems = 2048},
      {.name = "batch", .role = Role::data, .space = Space::host, .type = DType::i32, .elems = 64, .offset = 0},
      {.name = "v2", .role = Role::optimizer, .type = DType::f32, .content = Content::state, .state = 1, .unit = 2},
      {.name = "used.0", .role = Role::token},
      {.name = "unused", .role = Role::workspace, .elems = 3}};
  s.from_lists = {{{0, 8}, {1, 9}}, {{0, {}}, {1, {}}, {2, {}}}, {}, {{0, 3}, {1, 4}, {2, 5}, {3, 6}, {5, {}}}};
  s.to_lists = {{0, 1, 2, 3, 4, 5, 6, 7, 8}, {8, 0}};
  s.boundary_events = {{4, "end.compute"}, {0, "full4"}};
  s.ops = {
      {.kind = OpKind::gather,
       .stream = StreamId::comm,
       .group = Group::data,
       .unit = 4,
       .operands = {reads(Slot::slice, 0), writes(Slot::full, 1), takes(4)},
       .waits = {4, 0},
       .records = 1,
       .range = {0, 2048, 1024},
       .wire = DType::bf16,
       .bytes = 4096,
       .from = 1,
       .to = 1},
      {.kind = OpKind::reduce, .stream = StreamId::comm, .group = Group::data, .microbatch = 8, .from = 3, .to = 0},
      {.kind = OpKind::forward,
       .unit = 4,
       .segment = 0,
       .microbatch = 8,
       .operands = {reads(Slot::parameters, 1), reads(Slot::batch, 2), updates(Slot::workspace, 5), gives(4)},
       .waits = {1}},
      {.kind = OpKind::send, .stream = StreamId::comm, .bytes = 7, .from = 2, .peer = 3}};
  return s;
}

std::string message_of(const std::string& text) {
  try {
    parse_schedule(text);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.what();
  }
  return "no error";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("text: parse(print(s)) is s", "[schedule]") {
  CHECK(parse_schedule(print(Schedule{})) == Schedule{});
  CHECK(parse_schedule(print(rich())) == rich());
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Schedule s = RandomSchedule(seed).build(30);
    REQUIRE(parse_schedule(print(s)) == s);
  }
}

TEST_CASE("text: lists of ranks print as runs, offsets in hex", "[schedule]") {
  const std::string text = print(rich());
  for (const char* part : {"0:8,1:9", " 0,1,2 ", "0-3:3-6,5", "0-8", "0x06000000", "0+2048/1024", "e4,e0", "used.0",
                           "batch=batch,workspace=unused", " workspace=unused "})
    CHECK_THAT(text, Catch::Contains(part));
}

TEST_CASE("text: comments, blank lines and unnumbered ops may be written by hand", "[schedule]") {
  const std::string by_hand =
      "# a comment\nschedule step rank 0 world 2 events 0\n\n"
      "op stream kind unit segment mb group reads writes takes gives waits records range wire bytes from to "
      "peer\r\n- comm all_reduce - - - data - - - - - - - - 8 0,1 0-1 -\n"
      "- compute verdict - - - self - - - - - - - - - - - -\n";
  const Schedule s = parse_schedule(by_hand);
  REQUIRE(s.ops.size() == 2);
  CHECK(s.from_lists == std::vector<std::vector<Contribution>>{{{0, {}}, {1, {}}}});
  CHECK(s.to_lists == std::vector<std::vector<int>>{{0, 1}});
}

TEST_CASE("text: an error names line, column, what was read and what was expected", "[schedule]") {
  const std::string good = print(rich());
  struct Case {
    const char *from, *to, *column, *expected;
  };
  for (const Case& c :
       {Case{"gather ", "gathre ", "column kind", "is not a kind of op"},
        Case{"carried", "lasting", "column lifetime", "expected step, carried or persistent"},
        Case{"0x06000000", "100663296", "column offset", "expected a byte offset like 0x"},
        Case{"e4,e0", "e4,e9", "column waits", "below 5"}, Case{"e4,e0", "e4,", "column waits", "read 'e4,'"},
        Case{"slice=shard4", "slice=shard5", "column reads", "'shard5' is none"},
        Case{"slice=shard4", "shard4", "column reads", "slots with their buffers like x=x2.0"},
        Case{"slice=shard4", "slides=shard4", "column reads", "is not a slot"},
        Case{"slice=shard4", "token=shard4", "column reads", "columns of their own"},
        Case{"bf16  4096", "bf61  4096", "column wire", "is not a type"},
        Case{"state:2:1", "state:2", "column content", "state:3:1"},
        Case{"state:2:1", "stale:2:1", "column content", "is no content"},
        Case{"schedule step", "schedule stop", "column schedule", "is not a schedule"},
        Case{"0+2048/1024", "0+2048", "column range", "begin+elems/slice_elems"},
        Case{"0-3:3-6,5", "0-3:3-7,5", "from_list", "expected ranks below 9"},
        Case{"0-8", "0-9", "to_list", "expected ranks below 9"},
        Case{"2048  ", "2k48  ", "column elems", "a number from 0"}})
    CHECK_THAT(message_of(replaced(good, c.from, c.to)),
               Catch::Contains("line ") && Catch::Contains(c.column) && Catch::Contains(c.expected));
  CHECK_THAT(message_of(""), Catch::Contains("the text ends, expected 'schedule NAME"));
  CHECK_THAT(message_of("schedule step rank 0 world 2 events 0\nx\n"),
             Catch::Contains("line 2: read 'x', expected a table"));
  CHECK_THAT(message_of("schedule step rank 0 world 2 events 1\nboundary name\ne0\n"),
             Catch::Contains("line 3: read 1 fields, expected 2: boundary name"));
}

TEST_CASE("text: two programs are compared line by line, whatever the width of columns", "[schedule]") {
  const std::string text = print(rich());
  CHECK_FALSE(first_difference(text, replaced(text, "carried", "carried    ")));
  const auto difference = first_difference(replaced(text, "slice=shard4", "slice=full4"), text, "file", "builder");
  REQUIRE(difference);
  CHECK_THAT(*difference, Catch::Contains("differs") && Catch::Contains("\n  file: 0 comm gather 4") &&
                              Catch::Contains("slice=full4") && Catch::Contains("\n  builder: 0 comm gather 4"));
  CHECK_THAT(*first_difference("", text), Catch::Contains("given: the text ends\n  expected: schedule step"));
}

TEST_CASE("text: damaged text is a schedule or Error(config), never a crash", "[schedule]") {
  const Random random(7, "text fuzz");
  std::uint64_t n = 0;
  const auto below = [&](std::uint64_t bound) { return random.below(n++, bound); };
  const std::string alphabet = "0123456789-,:+/exe \n#abcst.";
  int parsed = 0, refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text =
        round % 4 ? print(RandomSchedule(static_cast<std::uint64_t>(round % 16)).build(8)) : print(rich());
    for (std::uint64_t change = 0, changes = 1 + below(3); change < changes; ++change) {
      const std::size_t at = below(text.size());
      switch (below(4)) {
        case 0: text[at] = alphabet[below(alphabet.size())]; break;
        case 1: text.erase(at, 1 + below(8)); break;
        case 2: text.insert(at, 1, alphabet[below(alphabet.size())]); break;
        default: text.insert(at, text.substr(below(text.size()), below(40)));
      }
    }
    try {
      const Schedule s = parse_schedule(text);
      if (s.event_count < 1000) check(s), check_sequence(std::array<const Schedule*, 1>{&s});
      ++parsed;
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::config);
      ++refused;
    }
  }
  CHECK(parsed > 100);
  CHECK(refused > 100);
}
