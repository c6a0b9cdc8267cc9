#pragma once
// How large a run may be, so that every count of elements, bytes and ops fits its type and can be planned.

#include "launch/config/config.h"

namespace trireme {

/// The agreement of ranks numbers them within this.
inline constexpr int largest_ranks = 262'144;

/// Errors: Error(config) that names the key which makes the run too large: sizes whose products leave 64 bits, threads,
/// deadlines.
void check_limits(const Config& config);

/// Errors: Error(config) where a rank's step would have more than 100,000 pairs of layer and microbatch, or as many
/// reduces of groups that span ranks, which take longer to plan than a user waits; and where nodes of
/// parallel.ranks_per_node do not divide the ranks, but node_shard needs it.
void check_plannable(const Config& config, int ranks);

}  // namespace trireme
