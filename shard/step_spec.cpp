#include "shard/step_spec.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace trireme {

const char* name(Recompute policy) {
  switch (policy) {
    case Recompute::none: return "none";
    case Recompute::attention: return "attention";
    case Recompute::mlp: return "mlp";
    case Recompute::block: return "block";
  }
  return "none";
}

Recompute parse_recompute(std::string_view text) {
  for (Recompute policy : {Recompute::none, Recompute::attention, Recompute::mlp, Recompute::block})
    if (text == name(policy)) return policy;
  throw Error(ErrorKind::config, fmt::format("memory.recompute = '{}'; use none, attention, mlp or block", text));
}

int StepSpec::remote_contributors(int round) const {
  const int contributors = std::min(ranks(), microbatches - round * ranks());
  int remote = 0;
  for (int other = 0; other < contributors; ++other) remote += !nodes.share(rank, other);
  return remote;
}

}  // namespace trireme
