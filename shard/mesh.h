#pragma once
// The ranks of a run as a grid with named axes. Every collective names the axis that it goes along. And where they are.

#include <vector>

namespace trireme {

/// Sizes of the axes; their product is the number of ranks. Only `data` may differ from 1.
struct Mesh {
  int data = 1, stage = 1, tensor = 1, expert = 1, context = 1;
};

/// Which ranks share memory: they read each other's exports in place, and need no staging for them.
struct NodeLayout {
  std::vector<int> node_of;  // by rank, equal numbers share; ranks beyond the list are like those without one
  int ranks_per_node = 0;    // of ranks without a number: so many of them in a row share; 0: all of them

  bool share(int a, int b) const { return node(a) == node(b); }
  /// A number for the node of a rank.
  int node(int rank) const {
    const int listed = static_cast<int>(node_of.size());
    if (rank < listed) return node_of[static_cast<std::size_t>(rank)];
    // Numbers in the list are ranks, and smaller.
    return listed + (ranks_per_node > 0 ? rank / ranks_per_node : 0);
  }
};

}  // namespace trireme
