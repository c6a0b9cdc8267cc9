#pragma once
// The ranks of a run as a grid with named axes. Every collective names the axis that it goes along.

namespace trireme {

/// Sizes of the axes; their product is the number of ranks. Only `data` may differ from 1.
struct Mesh {
  int data = 1, stage = 1, tensor = 1, expert = 1, context = 1;

  int ranks() const { return data * stage * tensor * expert * context; }
};

}  // namespace trireme
