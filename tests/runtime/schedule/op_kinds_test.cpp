#include "runtime/schedule/op_kinds.h"

#include <catch2/catch.hpp>

#include <functional>
#include <string>

#include "runtime/schedule/check/check.h"

using namespace trireme;

namespace {

/// A gather, the forward of a block that reads what it brings, and the reduce of a gradient.
class Program {
 public:
  Program() {
    shard = add({.name = "shard",
                 .role = Role::parameters,
                 .lifetime = Lifetime::persistent,
                 .type = DType::bf16,
                 .elems = 64,
                 .exported = true});
    full = add({.name = "full", .role = Role::gathered, .type = DType::bf16, .elems = 64});
    x = add(
        {.name = "x", .role = Role::activations, .lifetime = Lifetime::persistent, .type = DType::bf16, .elems = 8});
    out = add({.name = "out", .role = Role::activations, .type = DType::bf16, .elems = 8});
    saved = add({.name = "saved", .role = Role::activations, .elems = 8});
    batch =
        add({.name = "batch", .role = Role::data, .lifetime = Lifetime::persistent, .type = DType::i32, .elems = 8});
    constants = add({.name = "constants", .role = Role::data, .lifetime = Lifetime::persistent, .elems = 8});
    workspace = add({.name = "workspace", .elems = 8});
    token = add({.name = "token", .role = Role::token});
    schedule.world = 1;
    schedule.event_count = 1;
    schedule.from_lists = {{{0, {}}}};
    schedule.to_lists = {{0}};
    schedule.ops = {{.kind = OpKind::gather,
                     .stream = StreamId::comm,
                     .group = Group::data,
                     .unit = 1,
                     .operands = {reads(Slot::slice, shard), writes(Slot::full, full), gives(token)},
                     .records = 0,
                     .wire = DType::bf16,
                     .from = 0,
                     .to = 0},
                    {.kind = OpKind::forward,
                     .unit = 1,
                     .operands = {reads(Slot::parameters, full), reads(Slot::x, x), writes(Slot::saved, saved),
                                  reads(Slot::batch, batch), reads(Slot::constants, constants), writes(Slot::out, out),
                                  writes(Slot::workspace, workspace), takes(token)},
                     .waits = {0}},
                    {.kind = OpKind::release,
                     .stream = StreamId::comm,
                     .group = Group::data,
                     .unit = 1,
                     .operands = {reads(Slot::exported, shard)}}};
  }

  Op& forward() { return schedule.ops[1]; }
  Buffer& buffer(BufferId id) { return schedule.buffers[static_cast<std::size_t>(id)]; }
  std::string problem() const {
    const auto found = check(schedule);
    return found ? found->message : "";
  }

  Schedule schedule;
  BufferId shard, full, x, out, saved, batch, constants, workspace, token;

 private:
  BufferId add(Buffer buffer) {
    schedule.buffers.push_back(std::move(buffer));
    return static_cast<BufferId>(schedule.buffers.size()) - 1;
  }
};

}  // namespace

TEST_CASE("op_kinds: an op with the operands of its kind is accepted, whatever is optional left out", "[schedule]") {
  Program program;
  CHECK(program.problem().empty());
  program.forward().add(reads(Slot::frozen, program.full));
  CHECK(program.problem().empty());
}

TEST_CASE("op_kinds: a wrong operand, stream or group is refused by op, slot and what is wrong with it", "[schedule]") {
  struct Case {
    const char* says;
    std::function<void(Program&)> spoil;
  };
  const Case cases[] = {
      {"forward unit 1 (op 1) has nothing in slot x", [](Program& p) { p.forward().remove(Slot::x); }},
      {"has nothing in slot workspace", [](Program& p) { p.forward().remove(Slot::workspace); }},
      {"has x in slot d_out (forward of a block), which is none of its slots",
       [](Program& p) { p.forward().add(reads(Slot::d_out, p.x)); }},
      {"has x in slot batch", [](Program& p) { p.forward().find(Slot::batch)->buffer = p.x; }},
      {"in slot x (forward of a block), where only one buffer may stand",
       [](Program& p) { p.forward().add(reads(Slot::x, p.out)); }},
      {"has x in slot x (forward of a block), which must be read",
       [](Program& p) { p.forward().find(Slot::x)->access = Access::update; }},
      {"has out in slot out (forward of a block), which must be written",
       [](Program& p) { p.forward().find(Slot::out)->access = Access::read; }},
      {"whose role must not be workspace", [](Program& p) { p.buffer(p.full).role = Role::workspace; }},
      {"has batch in slot batch (forward of a block), whose type must not be f32",
       [](Program& p) { p.buffer(p.batch).type = DType::f32; }},
      {"whose type must not be i64", [](Program& p) { p.buffer(p.saved).type = DType::i64; }},
      {"has out in slot out (forward of a block), which is f32, but x is bf16",
       [](Program& p) { p.buffer(p.out).type = DType::f32; }},
      {"has shard in slot slice, which is bf16, but sends f32",
       [](Program& p) { p.schedule.ops[0].wire = DType::f32; }},
      {"whose space must not be host", [](Program& p) { p.buffer(p.x).space = Space::host; }},
      {"has slot workspace before slot batch: operands stand in the order of slots",
       [](Program& p) { std::swap(p.forward().operands[2], p.forward().operands[6]); }},
      {"has token in slot x: tokens, and tokens alone, stand there as tokens",
       [](Program& p) { p.forward().find(Slot::x)->buffer = p.token; }},
      {"has x in slot token", [](Program& p) { p.forward().find(Slot::token)->buffer = p.x; }},
      {"must not stand on stream comm", [](Program& p) { p.forward().stream = StreamId::comm; }},
      {"must not be of group data", [](Program& p) { p.forward().group = Group::data; }},
      {"gather unit 1 (op 0) must not be of group self", [](Program& p) { p.schedule.ops[0].group = Group::self; }},
      {"has saved in slot saved (backward of a block), which must be read",
       [](Program& p) { p.forward().kind = OpKind::backward; }},
      {"has nothing in slot gradient (backward of an embedding)",
       [](Program& p) {
         p.forward().kind = OpKind::backward, p.forward().operands = {writes(Slot::workspace, p.workspace)};
       }},
  };
  for (const Case& c : cases) {
    Program program;
    c.spoil(program);
    CAPTURE(c.says);
    CHECK_THAT(program.problem(), Catch::Contains(c.says) && Catch::Contains("(op "));
  }
}

TEST_CASE("op_kinds: every kind has a rule in its place, and its slots print and parse", "[schedule]") {
  for (int kind = 0; kind < op_kind_count; ++kind) {
    const OpRule& rule = rule_of(static_cast<OpKind>(kind));
    CHECK(rule.kind == static_cast<OpKind>(kind));
    CHECK(!rule.forms.empty());
    for (const OpForm& form : rule.forms)
      for (const SlotRule& slot : form.slots) CHECK(parse_slot(name(slot.slot)) == slot.slot);
  }
}
