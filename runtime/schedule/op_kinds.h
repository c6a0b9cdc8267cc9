#pragma once
// The one table of op kinds: which operands an op of a kind has, on which stream and with whom it runs, and what it
// costs. The builder writes by slot, passes and handlers read by slot, check() holds every op against it.

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "runtime/schedule/schedule.h"

namespace trireme {

/// A set of enumerators.
template <typename Enum>
class EnumSet {
 public:
  constexpr EnumSet() = default;
  constexpr EnumSet(std::initializer_list<Enum> members) {
    for (const Enum member : members) bits_ |= std::uint32_t{1} << static_cast<unsigned>(member);
  }
  constexpr bool has(Enum member) const { return (bits_ >> static_cast<unsigned>(member) & 1) != 0; }

 private:
  std::uint32_t bits_ = 0;
};

/// What stands in a slot.
struct SlotRule {
  enum class Use : std::uint8_t { read, write, update, write_or_update };

  Slot slot;
  Use use;
  EnumSet<Role> roles;
  EnumSet<DType> types;
  EnumSet<Space> spaces = {Space::device};
  bool is_optional = false;
  bool is_list = false;      // any number of operands
  bool has_op_type = false;  // all operands of an op that have it are of one type

  constexpr SlotRule optional() const {
    SlotRule rule = *this;
    rule.is_optional = true;
    return rule;
  }
  constexpr SlotRule list() const {
    SlotRule rule = optional();
    rule.is_list = true;
    return rule;
  }
};

/// One way in which an op of a kind is put together: forward of an embedding, of a block, of the head.
struct OpForm {
  const char* name;
  std::span<const SlotRule> slots;  // ascending
};

/// What an op's time grows with.
enum class CostClass : std::uint8_t {
  none,    // order alone
  link,    // bytes that ranks send each other
  memory,  // bytes that it reads and writes
  math,    // floating point operations
  host,    // what the main program fills, or a file's bytes
};
const char* name(CostClass cost);

struct OpRule {
  OpKind kind;
  std::span<const OpForm> forms;
  EnumSet<StreamId> streams = {StreamId::compute};
  EnumSet<Group> groups = {Group::self};
  CostClass cost = CostClass::memory;
  bool is_collective = false;  // every rank of the op's group executes it together
};

const OpRule& rule_of(OpKind kind);
inline bool is_collective(OpKind kind) { return rule_of(kind).is_collective; }

/// What is wrong with an op's operands, stream or group, in words that follow its name; nothing where all is right.
/// Buffers must exist. Of a kind with several forms it says what is wrong with the nearest.
std::optional<std::string> operand_fault(const Schedule& schedule, const Op& op);

}  // namespace trireme
