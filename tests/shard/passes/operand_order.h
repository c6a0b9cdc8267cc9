#pragma once
// Which op must be complete before which, straight from what ops touch: slow and obvious.

#include "tests/runtime/schedule/random_schedule.h"

namespace trireme::test {

/// Two ops touch one buffer, and one of them writes it.
inline bool conflict(const Op& a, const Op& b) {
  for (const Operand& x : a.operands)
    for (const Operand& y : b.operands)
      if (x.buffer == y.buffer && (x.writes() || y.writes())) return true;
  return false;
}

/// order[j][i]: op i before op j, because the list has them so on one stream, or they conflict, or over others.
inline Reach operand_order(const Schedule& schedule) {
  const std::vector<Op>& ops = schedule.ops;
  Reach order(ops.size(), std::vector<bool>(ops.size()));
  for (std::size_t j = 0; j < ops.size(); ++j)
    for (std::size_t i = j; i-- > 0;) {
      if (order[j][i] || (ops[i].stream != ops[j].stream && !conflict(ops[i], ops[j]))) continue;
      order[j][i] = true;
      for (std::size_t k = 0; k < i; ++k)
        if (order[i][k]) order[j][k] = true;
    }
  return order;
}

}  // namespace trireme::test
