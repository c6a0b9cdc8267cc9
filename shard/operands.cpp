#include "shard/operands.h"

namespace trireme {

std::vector<BufferId> without_tokens(const Schedule& schedule, const std::vector<BufferId>& ids) {
  std::vector<BufferId> kept;
  for (BufferId id : ids)
    if (schedule.buffers[static_cast<std::size_t>(id)].role != Role::token) kept.push_back(id);
  return kept;
}

}  // namespace trireme
