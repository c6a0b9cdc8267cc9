#include "shard/planned_states.h"

namespace trireme {

PlannedStates planned_states(const Schedule& step) {
  PlannedStates states;
  for (const Buffer& buffer : step.buffers) {
    const bool stays = buffer.lifetime == Lifetime::persistent;
    const bool is_master = buffer.content == Content::master;
    if (buffer.role == Role::parameters && stays) (is_master ? states.masters : states.parameters) += buffer.bytes();
    if (buffer.role == Role::optimizer && stays) states.optimizer += buffer.bytes();
    if (buffer.role == Role::gradients && stays) states.gradients += buffer.bytes();
    if (buffer.content == Content::accumulator) states.sums += buffer.bytes();
  }
  return states;
}

}  // namespace trireme
