#include "runtime/execute/lifetimes.h"

#include <optional>

#include "runtime/schedule/happens_before.h"
#include "runtime/schedule/per_stream.h"

namespace trireme {
namespace {

// The last use of one buffer on each stream.
using LastUses = PerStream<std::optional<OpId>>;

bool follows_all(const HappensBefore& order, OpId op, const LastUses& uses) {
  for (const std::optional<OpId>& use : uses)
    if (use && *use != op && !order.before(*use, op)) return false;
  return true;
}

}  // namespace

Lifetimes find_lifetimes(const Schedule& schedule) {
  Lifetimes lifetimes{.births = std::vector<std::vector<BufferId>>(schedule.ops.size()),
                      .deaths = std::vector<std::vector<BufferId>>(schedule.ops.size())};
  std::vector<LastUses> last(schedule.buffers.size());
  std::vector<bool> born(schedule.buffers.size());
  for (OpId id = 0; id < static_cast<OpId>(schedule.ops.size()); ++id) {
    const Op& op = schedule.ops[static_cast<std::size_t>(id)];
    for (const Operand& operand : op.operands) {
      const auto b = static_cast<std::size_t>(operand.buffer);
      const Buffer& buffer = schedule.buffers[b];
      if (buffer.lifetime != Lifetime::step || buffer.elems == 0) continue;
      if (!born[b]) lifetimes.births[static_cast<std::size_t>(id)].push_back(operand.buffer);
      born[b] = true;
      last[b][op.stream] = id;
    }
  }
  const HappensBefore order(schedule);
  for (BufferId b = 0; b < static_cast<BufferId>(last.size()); ++b)
    for (const std::optional<OpId>& use : last[static_cast<std::size_t>(b)])
      if (use && follows_all(order, *use, last[static_cast<std::size_t>(b)])) {
        lifetimes.deaths[static_cast<std::size_t>(*use)].push_back(b);
        break;
      }
  return lifetimes;
}

}  // namespace trireme
