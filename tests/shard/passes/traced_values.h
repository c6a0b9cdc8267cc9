#pragma once
// What every op computes from, said by how it came to be: two programs with equal traces compute the same bits.

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "tests/shard/passes/pass_case.h"

namespace trireme::test {

/// Runs schedules one after the other on numbers that stand for values.
///
/// A value is a number made of the op that wrote it and of all that the op read. A gather hands on what its slice
/// holds, so whole and sharded parameters have equal numbers; recompute writes what forward wrote.
class TracedValues {
 public:
  /// Of every op but gathers, releases, recomputes and checks, in order: what it is, what it read, and where it writes.
  std::vector<std::uint64_t> run(const Schedule& schedule) {
    std::vector<std::uint64_t> trace, step(schedule.buffers.size(), nothing);
    ++schedules_;
    const auto value = [&](BufferId id) -> std::uint64_t& {
      const Buffer& b = buffer(schedule, id);
      return b.lifetime == Lifetime::step ? step[static_cast<std::size_t>(id)] : kept_[b.name];
    };
    for (const Op& op : schedule.ops) {
      if (op.kind == OpKind::gather) {
        if (op.has(Slot::full)) value(op.at(Slot::full)) = value(op.at(Slot::slice));
        continue;
      }
      const bool is_new = op.kind == OpKind::release || op.kind == OpKind::recompute || op.kind == OpKind::check_finite;
      std::uint64_t what = mixed({number(op), op.kind == OpKind::step_values ? schedules_ : 0});
      for (const Operand& operand : op.operands)
        if (operand.reads() && operand.slot != Slot::token)
          what = mixed({what, static_cast<std::uint64_t>(operand.slot), value(operand.buffer)});
      std::uint64_t seen = what;
      std::map<Slot, std::uint64_t> place;
      for (const Operand& operand : op.operands) {
        if (!operand.writes() || operand.slot == Slot::token) continue;
        const std::uint64_t to = mixed({static_cast<std::uint64_t>(operand.slot), place[operand.slot]++});
        value(operand.buffer) = mixed({what, to});
        seen = mixed({seen, to});
      }
      if (!is_new) trace.push_back(seen);
    }
    return trace;
  }

 private:
  static constexpr std::uint64_t nothing = 1;  // of a step buffer that nothing wrote

  static std::uint64_t mixed(std::initializer_list<std::uint64_t> numbers) {
    std::uint64_t hash = 0x9e3779b97f4a7c15;
    for (std::uint64_t number : numbers) {
      hash = (hash ^ number) * 0xff51afd7ed558ccd;
      hash ^= hash >> 32;
    }
    return hash;
  }
  static std::uint64_t number(const Op& op) {
    const OpKind kind = op.kind == OpKind::recompute ? OpKind::forward : op.kind;
    const auto known = [](const std::optional<std::int32_t>& n) { return static_cast<std::uint64_t>(n.value_or(-1)); };
    return mixed({static_cast<std::uint64_t>(kind), known(op.unit), known(op.segment), known(op.microbatch)});
  }

  std::map<std::string, std::uint64_t> kept_;  // persistent and carried buffers, by name
  std::uint64_t schedules_ = 0;
};

/// Two programs of a kind in a row, behind init, compute from the same values with the pass and without.
template <typename Pass>
void check_values_stay(const PassCase& c, std::string_view pass, ScheduleKind kind, const Pass& run) {
  TracedValues before, after;
  const Schedule init = c.before(pass, ScheduleKind::init), program = c.before(pass, kind);
  const Schedule init_behind = run(init), program_behind = run(program);
  REQUIRE(before.run(init) == after.run(init_behind));
  for (int turn = 0; turn < 2; ++turn) REQUIRE(before.run(program) == after.run(program_behind));
}

}  // namespace trireme::test
