#pragma once
// What all ranks find out together about a step that went wrong, or may have.

#include <cstdint>
#include <optional>
#include <string>

#include "launch/train/trainer.h"

namespace trireme {

/// Behind a step that audits: who computed other gradients than their replay, in words; none where all agree.
/// Collective.
std::optional<std::string> audit_together(Trainer& trainer, int audited_ranks);

/// Behind a step that was not applied: what became infinite or not a number first, in words. Collective.
std::string diagnose_together(Trainer& trainer, std::int64_t step);

}  // namespace trireme
