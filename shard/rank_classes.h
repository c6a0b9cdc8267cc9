#pragma once
// Which ranks of a run have equal programs.

#include <vector>

#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme {

/// One rank for every class of ranks with equal programs, and how many ranks are in it.
struct RankClass {
  int rank = 0;  // the first of the class
  int count = 0;
};

/// Ascending by their first rank. Cost: ranks, times the rounds where groups of microbatches span ranks.
std::vector<RankClass> rank_classes(const ModelSpec& model, const StepSpec& spec);

}  // namespace trireme
